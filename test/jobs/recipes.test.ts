import { describe, expect, test } from "vitest";
import type { Recipe } from "../../schemas/recipe.ts";
import { TargetUnreachableError } from "../../src/compress/allocate/search.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { intAttribute } from "../../src/onnx/edit.ts";
import { inspectModel } from "../../src/onnx/inspect.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { standardOpset } from "../../src/onnx/scope.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { floats, floatTensor, graphOf, int, ints, modelOf, node, value } from "../compress/tiny.ts";
import { type Labelled, realModel } from "../models/registry.ts";
import { compressed, samplesFile } from "./compressed.ts";

const lstm = realModel("lstm-mnist");
const lenet = realModel("lenet-300-100");
const missing = lstm.missing ?? lenet.missing;
const labelled = (model: typeof lstm): Labelled => model.labelled!;

async function samplesOf(model: typeof lstm, count: number): Promise<Uint8Array> {
  return samplesFile((await labelled(model).train(0, count)).feeds);
}

async function bytesOf(model: typeof lstm): Promise<Uint8Array> {
  return (await model.bytes()).slice();
}

function read(artifact: Uint8Array): Promise<Model> {
  return readModel(bytesSource(artifact));
}

/** R² of the first output and share of equal classes, on test digits that no recipe has seen. */
async function unseen(model: typeof lstm, artifact: Uint8Array): Promise<{ r2: number; top1: number }> {
  const count = 300;
  const { feeds } = await labelled(model).test(500, count);
  const runtime = await nodeRuntime();
  const [y, z] = await Promise.all(
    [await bytesOf(model), artifact].map(async (bytes) => {
      const session = await runtime.load(bytes);
      const outputs = await session.run(feeds);
      await session.release();
      return Array.from(outputs[session.outputNames[0]!]!.data as Float32Array);
    }),
  );
  const mean = y!.reduce((sum, one) => sum + one, 0) / y!.length;
  const lost = y!.reduce((sum, one, i) => sum + (one - z![i]!) ** 2, 0);
  const total = y!.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  const classes = y!.length / count;
  const best = (list: number[], i: number) => {
    const scores = list.slice(i * classes, (i + 1) * classes);
    return scores.indexOf(Math.max(...scores));
  };
  const same = Array.from({ length: count }, (_, i) => (best(y!, i) === best(z!, i) ? 1 : 0));
  return { r2: 1 - lost / total, top1: same.reduce<number>((sum, one) => sum + one, 0) / count };
}

async function unreachable(recipe: Recipe, samples: Uint8Array): Promise<TargetUnreachableError> {
  const error = await compressed(await bytesOf(lstm), recipe, samples).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(TargetUnreachableError);
  return error as TargetUnreachableError;
}

const reason = missing ? ` (skipped: ${missing})` : "";

describe.skipIf(missing !== null)(`the automatic recipe${reason}`, () => {
  test("with samples: R² ≥ 0.99 and top-1 agreement ≥ 0.98 on digits that it has not seen, in a fifth of the bytes", async () => {
    const { artifact, report } = await compressed(await bytesOf(lstm), {}, await samplesOf(lstm, 48));
    expect(report.fidelity).toMatchObject({ data: "calibration", samples: 48 });
    expect(report.fidelity!.min_r2).toBeGreaterThanOrEqual(0.99);
    const { r2, top1 } = await unseen(lstm, artifact);
    expect(r2).toBeGreaterThanOrEqual(0.99);
    expect(top1).toBeGreaterThanOrEqual(0.98);
    expect(artifact.byteLength).toBe(report.bytes.compressed);
    expect(artifact.byteLength).toBeLessThan(0.2 * report.bytes.original);
    const { macs } = await inspectModel(await read(artifact));
    expect(macs).toBe(report.macs!.compressed);
    expect(macs).toBeLessThanOrEqual(report.macs!.original);
  });

  test("without samples: data-free, which the report says, and the same bytes every time", async () => {
    const upload = await bytesOf(lstm);
    const { artifact, report } = await compressed(upload, {});
    expect(report.fidelity!.data).toBe("synthetic");
    expect(report.fidelity!.min_r2).toBeGreaterThanOrEqual(0.99);
    const treated = report.layers.filter(({ method }) => method !== "none");
    expect(treated.length).toBeGreaterThan(0);
    for (const { layer_error, weight_error } of treated) {
      // One is computed in double precision, the other through the kernels' float32.
      expect(Math.abs(layer_error! - weight_error!)).toBeLessThanOrEqual(1e-4 * weight_error! + 1e-9);
    }
    expect((await compressed(upload, {})).artifact).toEqual(artifact);
  });
});

describe.skipIf(missing !== null)(`targets${reason}`, () => {
  test("macs_ratio: counted on the artifact", async () => {
    const recipe: Recipe = { target: { macs_ratio: 0.5 }, methods: ["low_rank"] };
    const { artifact, report } = await compressed(await bytesOf(lenet), recipe, await samplesOf(lenet, 32));
    const [before, after] = [
      await inspectModel(await read(await bytesOf(lenet))),
      await inspectModel(await read(artifact)),
    ];
    expect(after.macs!).toBeLessThanOrEqual(0.5 * before.macs!);
    expect(report.macs).toEqual({ original: before.macs, compressed: after.macs });
    const { r2 } = await unseen(lenet, artifact);
    expect(r2).toBeGreaterThan(0.9);
  });

  test("size_ratio: of the artifact's bytes, at no more loss than needed", async () => {
    const samples = await samplesOf(lstm, 32);
    const fidelities: number[] = [];
    for (const size_ratio of [0.1, 0.3]) {
      const recipe: Recipe = { target: { size_ratio } };
      const { artifact, report } = await compressed(await bytesOf(lstm), recipe, samples);
      expect(artifact.byteLength).toBeLessThanOrEqual(size_ratio * report.bytes.original);
      fidelities.push(report.fidelity!.min_r2!);
    }
    expect(fidelities[1]!).toBeGreaterThan(fidelities[0]!);
    expect(fidelities[1]!).toBeGreaterThan(0.995);
  });

  test("what cannot be reached fails, with the best that was", async () => {
    const samples = await samplesOf(lstm, 16);
    const macs = await unreachable({ target: { macs_ratio: 0.01 }, methods: ["low_rank"] }, samples);
    expect(macs.missed).toMatch(/MACs at best/);
    expect(macs.best.measurement.macs!).toBeGreaterThan(0);
    const size = await unreachable({ target: { max_bytes: 100 }, methods: ["quantization"] }, samples);
    expect(size.missed).toMatch(/bytes at best, at most 100 were asked for/);
    expect(size.best.measurement.bytes).toBeLessThan(lstmBytes / 4);
    const both = await unreachable(
      { target: { size_ratio: 0.15, min_fidelity: 0.99999 }, methods: ["quantization"] },
      samples,
    );
    expect(both.missed).toMatch(/R² 0\.\d+ at this size, R² of at least/);
  });
});

/** Of the uploads. */
const lstmBytes = 199_701;
const lenetBytes = 1_067_132;

describe.skipIf(missing !== null)(`explicit recipes${reason}`, () => {
  test("channels: shapes shrink, and the report counts them", async () => {
    const recipe: Recipe = { sparsity: { pattern: "channel", ratio: 0.4 } };
    const { artifact, report } = await compressed(await bytesOf(lenet), recipe, await samplesOf(lenet, 48));
    const model = await read(artifact);
    const sizes = model.graph.initializers.map(({ dims }) => dims.join("×"));
    const before = (await read(await bytesOf(lenet))).graph.initializers.map(({ dims }) => dims.join("×"));
    expect(sizes.length).toBe(before.length);
    const hidden = model.graph.initializers
      .filter(({ dims }) => dims.length === 1)
      .map(({ dims }) => dims[0]!);
    // Of 300 and 100 hidden units those go that together do two fifths of the work; the 10 classes stay.
    expect(hidden.toSorted((a, b) => b - a).at(-1)).toBe(10);
    const kept = hidden.reduce((sum, one) => sum + one, 0) - 10;
    expect(kept).toBeLessThan(280);
    expect(report.layers.every(({ method }) => method === "channel_pruning")).toBe(true);
    expect(report.macs!.compressed).toBe((await inspectModel(model)).macs);
    expect(report.macs!.compressed).toBeLessThan(0.65 * report.macs!.original);
    expect((await unseen(lenet, artifact)).top1).toBeGreaterThan(0.9);
  });

  test("int8 with DequantizeLinear: a node for each weight, in less than a third of the bytes, the same ones again", async () => {
    const recipe: Recipe = { quantization: { weights: "int8", storage: "dequantize_linear" } };
    const samples = await samplesOf(lenet, 32);
    const { artifact, report } = await compressed(await bytesOf(lenet), recipe, samples);
    const { graph } = await read(artifact);
    expect(graph.nodes.filter(({ opType }) => opType === "DequantizeLinear").length).toBe(3);
    expect(report.layers.every(({ method }) => method === "quantization")).toBe(true);
    expect(artifact.byteLength).toBeLessThan(0.33 * lenetBytes);
    expect((await unseen(lenet, artifact)).r2).toBeGreaterThan(0.999);
    expect((await compressed(await bytesOf(lenet), recipe, samples)).artifact).toEqual(artifact);
  });

  test("int4 with DequantizeLinear by groups: the opset is raised, and other groups than asked for are said", async () => {
    const recipe: Recipe = { quantization: { weights: "int4", group: 50 } };
    const samples = await samplesOf(lenet, 32);
    const { artifact, report } = await compressed(await bytesOf(lenet), recipe, samples);
    const model = await read(artifact);
    expect(report.model.opset).toBe(14);
    expect(standardOpset(model)).toBe(21);
    expect(report.lossless).toContainEqual({ pass: "raise-opset", changes: 1 });
    const nodes = model.graph.nodes.filter(({ opType }) => opType === "DequantizeLinear");
    // 300 and 100 columns are groups of 50; 784 are not. Nodes of the last layer come first.
    expect(nodes.map((node) => intAttribute(node, "block_size", 0))).toEqual([50, 50, 49]);
    expect(report.layers.map(({ reason }) => reason)).toEqual([
      "groups of 49 inputs share a scale, since groups of 50 do not fit its 784 inputs",
      null,
      null,
    ]);
    expect(model.graph.initializers.filter(({ dataType }) => dataType === DataType.INT4).length).toBe(3);
    expect(artifact.byteLength).toBeLessThan(0.16 * lenetBytes);
    expect((await unseen(lenet, artifact)).top1).toBeGreaterThan(0.97);
  });

  test("what a recipe says that an opset cannot: the layer and the warning say why", async () => {
    const pooled = graphOf({
      nodes: [
        node("Conv", ["x", "w"], ["c"]),
        node("AveragePool", ["c"], ["y"], {
          kernel_shape: ints(2, 2),
          strides: ints(2, 2),
          ceil_mode: int(1),
        }),
      ],
      initializers: [floatTensor("w", [32, 64, 1, 1], floats([32, 64, 1, 1]))],
      inputs: [value("x", [1, 64, 6, 6])],
      outputs: [value("y", [1, 32, 3, 3])],
    });
    const upload = await modelBytes(modelOf(pooled, 12));
    const { artifact, report } = await compressed(upload, { quantization: { weights: "int4" } });
    expect(standardOpset(await read(artifact))).toBe(12);
    expect(report.warnings).toEqual([
      "the opset stays below 21, which the recipe's quantization needs: the operator AveragePool cannot be raised to opset 21: windows past the border are averaged otherwise; export the model with a newer opset",
      expect.stringContaining("no samples were sent"),
    ]);
    expect(report.layers[0]!.reason).toBe(
      "nodes that fold decode it, since DequantizeLinear needs opset 21 for its scales and the model has opset 12",
    );
    const int8 = await compressed(upload, { quantization: { weights: "int8" } });
    expect(int8.report.warnings).toEqual([expect.stringContaining("no samples were sent")]);
    expect(standardOpset(await read(int8.artifact))).toBe(13);
    expect(int8.report.layers[0]!.reason).toBeNull();
    const automatic = await compressed(upload, {});
    expect(standardOpset(await read(automatic.artifact))).toBe(12);
  });

  test("an output that never varies keeps no size target from its fidelity", async () => {
    const still = graphOf({
      nodes: [
        node("MatMul", ["x", "w"], ["y"]),
        node("Abs", ["x"], ["a"]),
        node("Neg", ["a"], ["n"]),
        node("Relu", ["n"], ["z"]),
      ],
      initializers: [floatTensor("w", [64, 48], floats([64, 48]))],
      inputs: [value("x", [8, 64])],
      outputs: [value("y", [8, 48]), value("z", [8, 64])],
    });
    const upload = await modelBytes(modelOf(still, 14));
    const recipe: Recipe = { target: { size_ratio: 0.5, min_fidelity: 0.9 }, methods: ["quantization"] };
    const { artifact, report } = await compressed(upload, recipe);
    expect(artifact.byteLength).toBeLessThanOrEqual(0.5 * upload.byteLength);
    expect(report.fidelity!.min_r2!).toBeGreaterThanOrEqual(0.9);
    expect(report.fidelity!.outputs.find(({ output }) => output === "z")!.r2).toBe(1);
  });

  test("several methods at once, a layer that is skipped, and one of its own", async () => {
    const recipe: Recipe = {
      low_rank: { rank: 24 },
      sparsity: { ratio: 0.5 },
      quantization: { weights: "int8", storage: "folded" },
      layers: { "/fc2/Gemm": { skip: true }, "/fc3/Gemm": { quantization: { weights: "fp16" } } },
    };
    const { artifact, report } = await compressed(await bytesOf(lenet), recipe, await samplesOf(lenet, 32));
    expect(report.layers.map(({ method }) => method)).toEqual([
      "low_rank+sparsity+quantization",
      "none",
      "sparsity+quantization",
    ]);
    expect(report.layers[1]!.reason).toBe("the recipe skips it");
    expect(report.layers[1]!.bytes.compressed).toBe(120_000);
    // Half of fc3's thousand weights.
    expect(report.layers[2]!.nonzero.compressed).toBe(500);
    expect((await unseen(lenet, artifact)).top1).toBeGreaterThan(0.85);
  });

  test("a global ratio: the file's zeros are that share of all weights", async () => {
    const recipe: Recipe = { sparsity: { ratio: 0.7, scope: "global", solver: "magnitude" } };
    const { report } = await compressed(await bytesOf(lenet), recipe);
    const sum = (figure: "parameters" | "nonzero") =>
      report.layers.reduce((total, layer) => total + layer[figure].compressed, 0);
    expect(Math.abs(sum("nonzero") / sum("parameters") - 0.3)).toBeLessThan(1e-4);
    const shares = report.layers.map(({ nonzero, parameters }) => nonzero.compressed / parameters.compressed);
    expect(Math.max(...shares) - Math.min(...shares)).toBeGreaterThan(0.1);
  });
});
