import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { Plan } from "../../schemas/plan.ts";
import { Report } from "../../schemas/report.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { floats, tinyExternalModel, tinyModel } from "../onnx/bytes.ts";
import { folder, hone, KEYWORDS } from "./run.ts";

describe("hone compress", () => {
  test("writes artifact, plan and page, and prints tables", async () => {
    const cwd = folder();
    const run = await hone(
      ["compress", KEYWORDS, "--mix", "tpu-v3:2,tpu-v2:2", "--plan", "plan.json", "--report", "report.html"],
      { cwd },
    );
    expect(run).toMatchObject({ code: 0 });
    expect(readdirSync(cwd).toSorted()).toEqual(["hey_rhasspy_v0.1.hone.onnx", "plan.json", "report.html"]);
    const artifact = readFileSync(join(cwd, "hey_rhasspy_v0.1.hone.onnx"));
    expect(artifact.byteLength).toBeLessThan(statSync(KEYWORDS).size);
    await readModel(bytesSource(artifact));
    const plan = Plan.parse(JSON.parse(readFileSync(join(cwd, "plan.json"), "utf8")));
    for (const baseline of Object.values(plan.baselines)) {
      expect(plan.step_time_s).toBeLessThanOrEqual(baseline.step_time_s);
    }
    expect(plan.verification).toMatchObject({ status: "passed", data: "synthetic" });
    const page = readFileSync(join(cwd, "report.html"), "utf8");
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).toContain("compared with the whole model: passed");
    expect(run.stdout).toMatch(/^bytes +204\.\d kB +\d/m);
    expect(run.stdout).toContain("data parallel");
    expect(run.stderr).toMatch(/\d+% inspect/);
  });

  test("--json prints one object with artifact, report and plan, and nothing else on stdout", async () => {
    const cwd = folder();
    const run = await hone(
      ["compress", KEYWORDS, "-o", "small.onnx", "--sparsity", "0.8", "--methods", "sparsity", "--json"],
      { cwd },
    );
    expect(run).toMatchObject({ code: 0 });
    const { artifact, report, plan } = JSON.parse(run.stdout);
    expect(artifact).toMatchObject({ path: "small.onnx", bytes: statSync(join(cwd, "small.onnx")).size });
    expect(plan).toBeNull();
    const { bytes, parameters } = Report.parse(report);
    expect(bytes.compressed).toBe(artifact.bytes);
    expect(parameters.nonzero.compressed).toBeLessThan(0.25 * parameters.total.original);
  });

  test("gives the same bytes twice", async () => {
    const cwd = folder();
    for (const name of ["a.onnx", "b.onnx"]) {
      expect(await hone(["compress", KEYWORDS, "-o", name], { cwd })).toMatchObject({ code: 0 });
    }
    expect(readFileSync(join(cwd, "a.onnx")).equals(readFileSync(join(cwd, "b.onnx")))).toBe(true);
  });

  test("flags win over the recipe file, which stands for the rest", async () => {
    const cwd = folder();
    await writeFile(
      join(cwd, "r.json"),
      '{"methods":["sparsity"],"sparsity":{"ratio":0.1,"scope":"global"}}',
    );
    const run = await hone(["compress", KEYWORDS, "--recipe", "r.json", "--sparsity", "0.9", "--json"], {
      cwd,
    });
    expect(run).toMatchObject({ code: 0 });
    const { parameters } = Report.parse(JSON.parse(run.stdout).report);
    expect(parameters.nonzero.compressed).toBeLessThan(0.15 * parameters.total.original);
  });

  test("takes external data beside the model", async () => {
    const cwd = folder();
    await mkdir(join(cwd, "in"));
    await writeFile(join(cwd, "in/m.onnx"), tinyExternalModel);
    await writeFile(join(cwd, "in/weights.bin"), floats(1, 2));
    expect(await hone(["compress", "in/m.onnx", "-o", "out.onnx"], { cwd })).toMatchObject({ code: 0 });
    expect(await hone(["verify", "in/m.onnx", "out.onnx", "--min-fidelity", "1"], { cwd })).toMatchObject({
      code: 0,
    });
  });

  test("takes a zip of model and external data", async () => {
    const cwd = folder();
    const zip = zipSync({ "m.onnx": tinyExternalModel, "weights.bin": floats(1, 2) });
    await writeFile(join(cwd, "m.zip"), zip);
    expect(await hone(["compress", "m.zip"], { cwd })).toMatchObject({ code: 0 });
    expect(existsSync(join(cwd, "m.hone.onnx"))).toBe(true);
  });

  test("leaves no temporary files and no half output when the job fails", async () => {
    const cwd = folder();
    const tmp = folder();
    await writeFile(join(cwd, "m.onnx"), tinyModel);
    await writeFile(join(cwd, "x.npz"), "no archive");
    const run = await hone(["compress", "m.onnx", "--calibration", "x.npz"], { cwd, env: { TMPDIR: tmp } });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(readdirSync(tmp)).toEqual([]);
    expect(readdirSync(cwd).toSorted()).toEqual(["m.onnx", "x.npz"]);
  });
});
