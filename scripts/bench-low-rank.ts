import { cpus } from "node:os";
import { chainOf, storedDims } from "../src/compress/forms/chain.ts";
import { type Form, type FormTarget, targetOf } from "../src/compress/forms/form.ts";
import { withChain } from "../src/compress/forms/with-chain.ts";
import { formWork, workTime } from "../src/compress/forms/work.ts";
import { freshNames, type NewAttribute, nodeOf } from "../src/onnx/edit.ts";
import { listLayers } from "../src/onnx/layers.ts";
import type { Model } from "../src/onnx/model.ts";
import { inferShapes } from "../src/onnx/shapes/infer.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";
import { benchModel, ints, noiseTensor, shortestTimes, type TimingLimits } from "./shortest-times.ts";

/**
 * Times the forms that are not kernel sharing (scripts/bench-forms.ts has that) against the layers that they replace, in
 * turns, in onnxruntime-web (Node, one thread), beside what src/compress/forms/work.ts predicts.
 */
const CONVOLUTIONS = [
  [16, 80],
  [64, 56],
  [64, 28],
  [128, 28],
  [256, 14],
] as const;
const PRODUCTS = [
  [1, 256, 256],
  [1, 1024, 1024],
  [50, 64, 256],
  [50, 384, 384],
  [256, 256, 256],
] as const;
const LIMITS: TimingLimits = { leastRuns: 15, mostRuns: 200, leastMs: 400 };

const runtime = await nodeRuntime();
const rows: (string | number)[][] = [];
for (const [channels, size] of CONVOLUTIONS) {
  const half = channels / 2;
  const attributes = { pads: ints([1, 1, 1, 1]), kernel_shape: ints([3, 3]) };
  const model = layerModel("Conv", [1, channels, size, size], [channels, channels, 3, 3], attributes);
  await compared(model, `3×3, ${channels}→${channels} at ${size}²`, [
    ["output rank ½", { kind: "low_rank", rank: half }],
    ["3×1, 1×3 at full rank", { kind: "spatial", axis: 0, rank: channels }],
    ["3×1, 1×3 at rank ½", { kind: "spatial", axis: 0, rank: half }],
    ["Tucker-2 at ½ and ½", { kind: "tucker", inputRank: half, outputRank: half }],
    ["input rank ½", { kind: "tucker", inputRank: half, outputRank: null }],
  ]);
  const pointwise = layerModel("Conv", [1, channels, size, size], [channels, channels, 1, 1], {});
  await compared(pointwise, `1×1, ${channels}→${channels} at ${size}²`, [
    ["rank ¼", { kind: "low_rank", rank: channels / 4 }],
  ]);
}
for (const [vectors, inputs, outputs] of PRODUCTS) {
  const model = layerModel("MatMul", [vectors, inputs], [inputs, outputs], {});
  await compared(model, `${vectors} × ${inputs} times ${inputs} × ${outputs}`, [
    ["rank ¼", { kind: "low_rank", rank: Math.min(inputs, outputs) / 4 }],
    ["rank ½", { kind: "low_rank", rank: Math.min(inputs, outputs) / 2 }],
  ]);
}
await writeSection(
  "low-rank-forms",
  `## Low-rank forms in onnxruntime-web

\`npx node scripts/bench-low-rank.ts\` on ${cpus()[0]?.model.trim()}, Node ${process.version}, ${runtime.name}, one thread. Milliseconds are the shortest of at
least ${LIMITS.leastRuns} runs, the layer and its form in turns; "faster" is the layer's time over the form's, measured and as src/compress/forms/work.ts predicts it.

${markdownTable(["layer", "ms", "form", "ms", "faster", "predicted"], rows)}`,
);

async function compared(model: Model, label: string, forms: readonly [string, Form][]): Promise<void> {
  const [layer] = listLayers(model, await inferShapes(model));
  const use = layer!.uses[0]!;
  const target = targetOf(use.node, use.geometry, layer!.dims)!;
  const predicted = (form: Form) => workTime(formWork(form, target));
  for (const [name, form] of forms) {
    const times = await shortestTimes(runtime, [model, withForm(model, form, target)], LIMITS);
    const [dense, chained] = [times[0]!, times[1]!];
    rows.push([
      label,
      dense.toFixed(3),
      name,
      chained.toFixed(3),
      (dense / chained).toFixed(2),
      (predicted({ kind: "dense" }) / predicted(form)).toFixed(2),
    ]);
    console.error(rows.at(-1)!.join("  "));
  }
}

function withForm(model: Model, form: Form, target: FormTarget): Model {
  const steps = chainOf(form, target);
  const names = Object.fromEntries(steps.map(({ weight }) => [weight!.role, weight!.role]));
  const graph = withChain(model.graph, "y", steps, names, freshNames(model));
  const initializers = steps.map(({ weight }) => noiseTensor(weight!.role, storedDims(weight!)));
  return { ...model, graph: { ...graph, initializers: [...graph.initializers, ...initializers] } };
}

function layerModel(
  op: string,
  data: readonly number[],
  weight: readonly number[],
  attributes: Readonly<Record<string, NewAttribute>>,
): Model {
  return benchModel([nodeOf(op, ["x", "w"], ["y"], attributes)], [noiseTensor("w", weight)], data);
}
