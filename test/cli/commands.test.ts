import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Plan } from "../../schemas/plan.ts";
import { Fidelity } from "../../schemas/report.ts";
import { ModelSummary } from "../../schemas/resources.ts";
import { ShardManifest } from "../../schemas/shards.ts";
import { badModels, hugeExternalModel, tinyModel } from "../onnx/bytes.ts";
import { FACES, folder, hone, KEYWORDS } from "./run.ts";

describe("hone inspect", () => {
  test("--json prints the model", async () => {
    const { code, stdout } = await hone(["inspect", FACES, "--json"]);
    expect(code).toBe(0);
    const summary = ModelSummary.parse(JSON.parse(stdout));
    expect(summary.inputs.map(({ shape }) => shape)).toEqual([[1, 128, 128, 3]]);
    expect(summary.outputs).toHaveLength(4);
    expect(summary.layers.length).toBeGreaterThan(20);
  });

  test("prints a table", async () => {
    const { code, stdout } = await hone(["inspect", KEYWORDS]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^input .*float\[1,16,96\]$/m);
    expect(stdout).toMatch(/^layer +op +shape +parameters +bytes +MACs$/m);
  });
});

describe("hone plan", () => {
  test("zoo models need no file, and AccPar's counting gives its published total of data parallelism", async () => {
    const flags = ["--mix", "generic:128", "--mode", "training", "--batch", "512", "--cost-model", "accpar"];
    const { code, stdout } = await hone(["plan", "zoo:alexnet", ...flags, "--json"]);
    expect(code).toBe(0);
    const plan = Plan.parse(JSON.parse(stdout));
    expect(plan.communication_elements).toBeLessThanOrEqual(plan.baselines.accpar.communication_elements!);
  });

  test("a mix may be a file with figures of one's own", async () => {
    const cwd = folder();
    const own = { name: "mine", flops: { fp32: 1e12 }, memory_bytes: 8e9, memory_bandwidth: 1e11 };
    await writeFile(join(cwd, "mix.json"), JSON.stringify([{ accelerator: own, count: 2 }]));
    const { code, stdout } = await hone(["plan", FACES, "--mix", "mix.json", "--batch", "64", "--json"], {
      cwd,
    });
    expect(code).toBe(0);
    expect(Plan.parse(JSON.parse(stdout))).toMatchObject({ batch: 64, mode: "inference" });
  });

  test("prints the baselines", async () => {
    const { code, stdout } = await hone(["plan", FACES, "--mix", "tpu-v3:2,tpu-v2:2"]);
    expect(code).toBe(0);
    for (const row of ["hone", "data parallel", "one weird trick", "HyPar", "AccPar"]) {
      expect(stdout).toMatch(new RegExp(`^${row} `, "m"));
    }
  });
});

test("hone plan needs no weights: a model of 12 TB whose file is absent", async () => {
  const path = join(folder(), "huge.onnx");
  await writeFile(path, hugeExternalModel);
  const { code, stdout } = await hone(["plan", path, "--mix", "h100:1024", "--batch", "1024", "--json"]);
  expect(code).toBe(0);
  const { layers, devices } = Plan.parse(JSON.parse(stdout));
  expect(layers.map(({ op }) => op)).toEqual(["MatMul", "MatMul", "MatMul"]);
  expect(devices).toHaveLength(1024);
  expect(devices[0]!.memory_bytes).toBeGreaterThan(12e12 / 1024);
});

describe("hone plan --format", () => {
  const mix = ["--mix", "h100:4", "--batch", "256", "--mode", "training"];

  test("prints Python or a picture, and writes an annotated copy where --output says", async () => {
    const printed = async (format: string) =>
      (await hone(["plan", KEYWORDS, ...mix, "--format", format])).stdout;
    expect(await printed("jax")).toContain("PartitionSpec as P");
    expect(await printed("dtensor")).toContain("init_device_mesh");
    expect(await printed("svg")).toMatch(/^<svg/);
    const copy = join(folder(), "annotated.onnx");
    const { code } = await hone(["plan", KEYWORDS, ...mix, "--format", "onnx", "--output", copy]);
    expect(code).toBe(0);
    expect((await hone(["verify", KEYWORDS, copy, "--min-fidelity", "1"])).code).toBe(0);
  });

  test("a shape-only model has no copy to write, and the message says so", async () => {
    const output = join(folder(), "copy.onnx");
    const { code, stderr } = await hone([
      "plan",
      "zoo:lenet",
      ...mix,
      "--format",
      "onnx",
      "--output",
      output,
    ]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("weights.bin");
  });
});

describe("hone plan, run", () => {
  test("--verify compares the devices' parts with the whole, --shards writes them", async () => {
    const cwd = folder();
    const flags = ["--mix", "tpu-v3:2,tpu-v2:2", "--batch", "8", "--verify", "--shards", "shards"];
    const { code, stdout } = await hone(["plan", KEYWORDS, ...flags], { cwd });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^verification passed \(\d virtual devices, 8 samples, /m);
    const manifest = ShardManifest.parse(
      JSON.parse(await readFile(join(cwd, "shards", "manifest.json"), "utf8")),
    );
    for (const { file } of manifest.stages.flatMap((stage) => stage.shards)) {
      expect((await hone(["inspect", join("shards", file)], { cwd })).code).toBe(0);
    }
    const json = await hone(["plan", KEYWORDS, "--mix", "tpu-v3:1", "--verify", "--json"]);
    expect(Plan.parse(JSON.parse(json.stdout)).verification).toMatchObject({ status: "passed", devices: 1 });
  });

  test("a model of shapes only cannot be run", async () => {
    const { code, stderr } = await hone(["plan", "zoo:alexnet", "--mix", "tpu-v3:2", "--verify"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/shapes only/);
  });
});

describe("hone verify", () => {
  test("a model agrees with itself", async () => {
    const { code, stdout } = await hone(["verify", KEYWORDS, KEYWORDS, "--json", "--min-fidelity", "1"]);
    expect(code).toBe(0);
    const fidelity = Fidelity.parse(JSON.parse(stdout));
    expect(fidelity).toMatchObject({ data: "synthetic", min_r2: 1 });
    expect(fidelity.outputs[0]!.max_abs_difference).toBe(0);
  });

  test("--min-fidelity fails where the outputs moved more", async () => {
    const cwd = folder();
    const moved = join(cwd, "moved.onnx");
    const recipe = ["--methods", "sparsity", "--sparsity", "0.95"];
    expect(await hone(["compress", KEYWORDS, "-o", moved, ...recipe])).toMatchObject({ code: 0 });
    const run = await hone(["verify", KEYWORDS, moved, "--min-fidelity", "0.9999"]);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/^hone: the least R² is .*, below 0\.9999\n$/);
  });

  test("models of other outputs cannot be compared", async () => {
    const run = await hone(["verify", KEYWORDS, FACES]);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/^hone: [^\n]+\n$/);
  });
});

describe("a wrong command line is told in one line and ends with 2", () => {
  test.each([
    [["frobnicate"], "unknown command"],
    [["compress"], "missing required argument"],
    [["compress", KEYWORDS, "--fast"], "unknown option '--fast'"],
    [["compress", KEYWORDS, "--sparsity", "x"], "a number is needed"],
    [["compress", KEYWORDS, "--sparsity", "1.5"], "recipe: sparsity.ratio"],
    [["compress", KEYWORDS, "--methods", "magic"], "recipe: methods"],
    [["compress", KEYWORDS, "--recipe", '{"sparsity":{"ratoi":0.5}}'], "ratoi"],
    [["compress", KEYWORDS, "--recipe", "{"], "recipe: this is no JSON"],
    [["compress", KEYWORDS, "--recipe", "nowhere.json"], "cannot read nowhere.json"],
    [["compress", KEYWORDS, "--report", "report.pdf"], "--report"],
    [["compress", KEYWORDS, "--plan", "plan.json"], "--plan needs a --mix"],
    [["compress", KEYWORDS, "--calibration", "samples.csv"], "samples.csv"],
    [["compress", KEYWORDS, "--mix", ""], "mix"],
    [["plan", KEYWORDS], "--mix"],
    [["plan", KEYWORDS, "--mix", "tpu-v99:2"], "tpu-v99"],
    [["plan", KEYWORDS, "--mix", "tpu-v3:0"], "count"],
    [["plan", KEYWORDS, "--mix", "tpu-v3:two"], "two"],
    [["plan", KEYWORDS, "--mix", "[]"], "empty"],
    [["plan", KEYWORDS, "--mix", "tpu-v3:1000000"], "1000000 devices; at most 4096"],
    [["plan", KEYWORDS, "--mix", ":2"], "is no mix entry"],
    [["plan", KEYWORDS, "--mix", '[{"accelerator":"","count":2}]'], "name an accelerator of the catalogue"],
    [
      ["plan", KEYWORDS, "--mix", '[{"accelerator":"h100","count":2,"link":{"bandwidth":-1}}]'],
      "mix 0.link.bandwidth",
    ],
    [["plan", KEYWORDS, "--mix", "tpu-v3:1", "--batch", "0"], "batch"],
    [["plan", KEYWORDS, "--mix", "tpu-v3:1", "--mode", "dreaming"], "--mode"],
    [["inspect", KEYWORDS, "--api", "nonsense"], "--api"],
    [["inspect", KEYWORDS, "--api", "http://127.0.0.1:1"], "HONE_API_KEY"],
    [["serve", "--port", "99999"], "port"],
  ])("%j", async (args, reason) => {
    const { code, stdout, stderr } = await hone(args, { cwd: folder() });
    expect(stderr).toMatch(/^hone: [^\n]+\n$/);
    expect(stderr).toContain(reason);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });
});

test("a recipe that names no layer of the model ends with 2, once the model has been looked at", async () => {
  const recipe = '{"layers":{"no such layer":{"skip":true}}}';
  const { code, stdout, stderr } = await hone(["compress", KEYWORDS, "--recipe", recipe], { cwd: folder() });
  expect(stderr).toMatch(/^hone: [^\n]*no such layer[^\n]*\n/m);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
});

describe("a file that is no usable model is told in one line and ends with 1", () => {
  const names = [
    "empty",
    "not_onnx",
    "truncated",
    "wrong_wire_type",
    "cyclic_graph",
    "external_data_missing",
  ] as const;
  test.each(names)("%s", async (name) => {
    const cwd = folder();
    await writeFile(join(cwd, "bad.onnx"), badModels[name]);
    const { code, stdout, stderr } = await hone(["compress", "bad.onnx"], { cwd });
    expect(stderr.split("\n").filter((line) => line.startsWith("hone: "))).toHaveLength(1);
    expect(stderr).not.toMatch(/^ +at /m);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });

  test("--json says it on stdout too", async () => {
    const cwd = folder();
    await writeFile(join(cwd, "bad.onnx"), badModels.empty);
    const { code, stdout } = await hone(["inspect", "bad.onnx", "--json"], { cwd });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "model_empty" } });
  });

  test.each([
    ["nowhere.onnx", "no such file"],
    [".", "it is no file"],
  ])("%s", async (path, reason) => {
    const { code, stderr } = await hone(["inspect", path], { cwd: folder() });
    expect(stderr).toMatch(/^hone: cannot read [^\n]+\n$/);
    expect(stderr).toContain(reason);
    expect(code).toBe(1);
  });

  test("an output that cannot be written", async () => {
    const cwd = folder();
    await writeFile(join(cwd, "m.onnx"), tinyModel);
    const { code, stderr } = await hone(["compress", "m.onnx", "-o", "no/such/folder.onnx"], { cwd });
    expect(stderr).toContain("hone: cannot write no/such/folder.onnx: no such file or directory");
    expect(code).toBe(1);
  });
});

test("--help and --version end with 0", async () => {
  expect(await hone(["--version"])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  });
  for (const command of [[], ["compress"], ["plan"], ["inspect"], ["verify"], ["serve"]]) {
    expect(await hone([...command, "--help"])).toMatchObject({ code: 0, stderr: "" });
  }
});
