import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PlanVerification } from "../schemas/plan.ts";
import type { Recipe } from "../schemas/recipe.ts";
import { localEngine } from "../src/cli/local-engine.ts";
import type { Model } from "../src/onnx/model.ts";
import { readModel } from "../src/onnx/read.ts";
import { bytesSource } from "../src/onnx/source.ts";
import { inOrder } from "../src/onnx/validate.ts";
import { withoutIfs } from "../src/partition/execution/branches.ts";
import { verifyPlan } from "../src/partition/execution/verify.ts";
import { planModel } from "../src/partition/plan-model.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { type RealModel, realModels } from "../test/models/registry.ts";
import { MIXES } from "../test/partition/execution/mixes.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";

/**
 * Plans of every real model, as it is and as Hone compresses it, run on virtual devices over three mixes and compared with
 * the whole model on natural inputs. `npm run bench:verify -- lenet-5 gru-mnist` measures those; what was measured is
 * kept in benchmarks/verify, and the table in BENCHMARKS.md is written of all that is there.
 */
const FOLDER = join(import.meta.dirname, "../benchmarks/verify");
const BATCH = 2;
/** The default recipe searches this one for longer than half an hour. */
const OTHER_RECIPES: Readonly<Record<string, Recipe>> = { classifier: { quantization: { weights: "int8" } } };
const LIMIT = 2 ** 32;

interface Row {
  readonly model: string;
  readonly file: "upload" | "artifact";
  readonly mix: string;
  /** How many layers have which types, outermost level first. */
  readonly types: Readonly<Record<string, number>>;
  readonly verification: Pick<
    PlanVerification,
    "status" | "devices" | "samples" | "boundaries" | "worst" | "outputs" | "undivided" | "not_run"
  >;
}

const chosen = process.argv.slice(2);
const wanted = realModels.filter(
  ({ name, missing }) => !missing && (chosen.length === 0 || chosen.includes(name)),
);
await mkdir(FOLDER, { recursive: true });
for (const real of wanted) {
  const rows = await measured(real);
  await writeFile(
    join(FOLDER, `${real.name}.json`),
    `[\n${rows.map((row) => JSON.stringify(row)).join(",\n")}\n]\n`,
  );
}
await writeTable();

async function measured(real: RealModel): Promise<Row[]> {
  const upload = await real.bytes();
  const rows: Row[] = [];
  for (const [file, bytes] of [
    ["upload", upload],
    ["artifact", await compressed(real.name, upload)],
  ] as const) {
    const model = inOrder(await readModel(bytesSource(bytes)));
    for (const mix of Object.keys(MIXES)) {
      const row = await verified(real, model, file, mix);
      rows.push(row);
      console.log(cells(row).join(" | "));
    }
  }
  return rows;
}

async function verified(real: RealModel, model: Model, file: Row["file"], mix: string): Promise<Row> {
  const runtime = await nodeRuntime();
  const samples = await real.samples(BATCH);
  const { taken } = await withoutIfs(model, runtime, samples);
  const plan = await planModel(model, MIXES[mix] ?? [], { batch: BATCH }, taken);
  const types: Record<string, number> = {};
  for (const { type } of plan.layers) types[type.join("·")] = (types[type.join("·")] ?? 0) + 1;
  const found = await verifyPlan({ model, plan, runtime, samples, limit: LIMIT });
  const { status, devices, boundaries, worst, outputs, undivided, not_run } = found;
  return {
    model: real.name,
    file,
    mix,
    types,
    verification: { status, devices, samples: found.samples, boundaries, worst, outputs, undivided, not_run },
  };
}

/** By the default recipe, without samples. */
async function compressed(name: string, bytes: Uint8Array): Promise<Uint8Array> {
  const [model, output] = ["onnx", "hone.onnx"].map((end) => join(tmpdir(), `verify-${name}.${end}`)) as [
    string,
    string,
  ];
  await writeFile(model, bytes);
  try {
    const request = {
      model,
      output,
      recipe: OTHER_RECIPES[name] ?? {},
      calibration: null,
      mix: null,
      plan: {},
    };
    await localEngine.compress(request, () => {});
    // A copy: slices of a Buffer are no copies.
    return new Uint8Array(await readFile(output));
  } finally {
    await rm(model, { force: true });
    await rm(output, { force: true });
  }
}

function cells({ model, file, mix, types, verification }: Row): string[] {
  const { status, devices, boundaries, worst, outputs, undivided } = verification;
  const turned = outputs.filter(({ inconclusive }) => inconclusive).map(({ output }) => output);
  return [
    model,
    file,
    mix,
    String(devices),
    Object.entries(types)
      .map(([type, count]) => `${count} ${type || "–"}`)
      .join(", "),
    String(boundaries),
    worst?.relative_error?.toExponential(1) ?? "–",
    String(undivided.length),
    turned.length > 0 ? `${status}; ${turned.join(", ")} inconclusive` : status,
  ];
}

async function writeTable(): Promise<void> {
  const rows: Row[] = [];
  for (const { name } of realModels) {
    const text = await readFile(join(FOLDER, `${name}.json`), "utf8").catch(() => "[]");
    rows.push(...(JSON.parse(text) as Row[]));
  }
  const head = [
    "model",
    "file",
    "mix",
    "devices",
    "layers by types",
    "boundaries",
    "worst error",
    "run whole",
    "result",
  ];
  await writeSection(
    "verify",
    `## Plans, run

Written by \`npm run bench:verify\`. Each model as uploaded and as the default recipe compresses it without samples (the classifier: int8), planned for batch ${BATCH} on
three mixes of slow devices with fast links, so that dividing pays (a plan may still leave a device out), run shard by shard on onnxruntime-web and compared with the whole
model on natural inputs. The worst relative error is that of any value between shards or output, on any device; 1e-4 passes. Layers run
whole are those that the plan divides and whose operator cannot be sliced (recurrent ones). An output behind a comparison may turn over on rounding; it says nothing then.

${markdownTable(head, rows.map(cells))}`,
  );
}
