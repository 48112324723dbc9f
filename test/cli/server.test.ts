import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocalServer, startServer } from "../../src/cli/server.ts";
import {
  AuthenticationError,
  ConflictError,
  NotFoundError,
  ValidationError,
} from "../../src/client/errors.ts";
import { Hone } from "../../src/client/hone.ts";
import { badModels, floats, tinyExternalModel, tinyModel } from "../onnx/bytes.ts";
import { FACES, folder, hone, KEYWORDS } from "./run.ts";

let server: LocalServer;
let remote: { HONE_API_URL: string; HONE_API_KEY: string };
let sdk: Hone;

beforeAll(async () => {
  server = await startServer({ port: 0, state: folder() });
  remote = { HONE_API_URL: server.url, HONE_API_KEY: server.key };
  sdk = new Hone({ apiKey: server.key, baseUrl: server.url });
}, 180_000);

afterAll(async () => {
  await server?.stop();
  await expect(fetch(`${server.url}/healthz`)).rejects.toThrow("fetch failed");
}, 30_000);

const MIX = ["--mix", "tpu-v3:2,tpu-v2:2"];

describe("server and command line give the same bytes, plan and layers", () => {
  test.each([
    ["a keyword head, Hone's own choice", KEYWORDS, []],
    ["a keyword head, 80 % sparse", KEYWORDS, ["--sparsity", "0.8", "--methods", "sparsity"]],
    ["a face detector, Hone's own choice", FACES, []],
    ["a face detector, kernel sharing", FACES, ["--bases", "3", "--methods", "kernel_sharing"]],
  ])(
    "%s",
    async (_, model, recipe) => {
      const cwd = folder();
      const args = (name: string) => ["compress", model, "-o", name, "--json", ...MIX, ...recipe];
      const [here, there] = [
        await hone(args("here.onnx"), { cwd }),
        await hone(args("there.onnx"), { cwd, env: remote }),
      ];
      expect(here).toMatchObject({ code: 0 });
      expect(there).toMatchObject({ code: 0 });
      const artifact = readFileSync(join(cwd, "here.onnx"));
      expect(artifact.equals(readFileSync(join(cwd, "there.onnx")))).toBe(true);
      const [local, served] = [JSON.parse(here.stdout), JSON.parse(there.stdout)];
      expect(served.artifact).toEqual({ ...local.artifact, path: "there.onnx" });
      expect(served.plan).toEqual(local.plan);
      expect(served.report.layers).toEqual(local.report.layers);
      expect(served.report.fidelity).toEqual(local.report.fidelity);
    },
    300_000,
  );

  test("a model with external data beside it travels whole", async () => {
    const cwd = folder();
    await writeFile(join(cwd, "m.onnx"), tinyExternalModel);
    await writeFile(join(cwd, "weights.bin"), floats(1, 2));
    expect(await hone(["compress", "m.onnx", "-o", "here.onnx"], { cwd })).toMatchObject({ code: 0 });
    expect(await hone(["compress", "m.onnx", "-o", "there.onnx"], { cwd, env: remote })).toMatchObject({
      code: 0,
    });
    expect(readFileSync(join(cwd, "here.onnx")).equals(readFileSync(join(cwd, "there.onnx")))).toBe(true);
  });

  test.each([
    ["inspect", FACES, "--json"],
    ["plan", FACES, ...MIX, "--batch", "16", "--mode", "training", "--json"],
    ["plan", "zoo:vgg-11", ...MIX, "--batch", "32", "--json"],
  ])("hone %s %s", async (...args) => {
    const here = await hone(args);
    const there = await hone(args, { env: remote });
    expect(here).toMatchObject({ code: 0 });
    expect(there).toMatchObject({ code: 0 });
    expect(JSON.parse(there.stdout)).toEqual(JSON.parse(here.stdout));
  });
});

describe("what a server refuses is told in one line", () => {
  test("a bad model ends with 1", async () => {
    const path = join(folder(), "bad.zip");
    await writeFile(path, badModels.not_onnx);
    const run = await hone(["inspect", path], { env: remote });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/^hone: [^\n]+\n$/);
  });

  test("a wrong key ends with 1", async () => {
    const key = `hone_sk_${"0".repeat(40)}`;
    const run = await hone(["inspect", KEYWORDS], { env: { ...remote, HONE_API_KEY: key } });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/^hone: [^\n]*key[^\n]*\n$/i);
  });

  test("a server that is not there ends with 1", async () => {
    const gone = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => gone.once("listening", resolve));
    const { port } = gone.address() as AddressInfo;
    await new Promise((resolve) => gone.close(resolve));
    const run = await hone(["inspect", KEYWORDS], {
      env: { ...remote, HONE_API_URL: `http://127.0.0.1:${port}` },
    });
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/^hone: cannot reach http:[^\n]+\n$/);
  });
});

describe("the SDK against the server", () => {
  test("uploads, lists, plans and deletes", async () => {
    const model = await sdk.models.upload(tinyModel, { name: "tiny" });
    expect(await sdk.models.get(model.id)).toEqual(model);
    const second = await sdk.models.upload(new Blob([badModels.empty, tinyModel]).stream());
    const seen: string[] = [];
    for await (const { id } of sdk.models.list({ limit: 1 })) seen.push(id);
    expect(seen).toEqual(expect.arrayContaining([model.id, second.id]));
    const plan = await sdk.plans.create({ model: model.id, mix: [{ accelerator: "t4", count: 2 }] });
    expect(plan).toMatchObject({ mode: "inference", mix: [{ accelerator: "t4", count: 2 }] });
    await sdk.models.delete(model.id);
    await expect(sdk.models.get(model.id)).rejects.toBeInstanceOf(NotFoundError);
  });

  test("a job: idempotent creation, waiting, results", async () => {
    const model = await sdk.models.upload(readFileSync(KEYWORDS));
    const request = { model: model.id, recipe: { methods: [] }, metadata: { from: "test" } };
    const key = crypto.randomUUID();
    const job = await sdk.compressions.create(request, { idempotencyKey: key });
    expect((await sdk.compressions.create(request, { idempotencyKey: key })).id).toBe(job.id);
    const done = await sdk.compressions.wait(job.id);
    expect(done).toMatchObject({ status: "succeeded", metadata: { from: "test" } });
    const artifact = await sdk.compressions.artifact(job.id);
    expect((await artifact.toBytes()).byteLength).toBe(done.artifact!.bytes);
    expect(artifact.etag).toBe(`"${done.artifact!.sha256}"`);
    expect((await sdk.compressions.report(job.id)).bytes.compressed).toBe(done.artifact!.bytes);
    expect(await sdk.compressions.reportHtml(job.id)).toMatch(/^<!doctype html>/);
    await expect(sdk.compressions.plan(job.id)).rejects.toBeInstanceOf(NotFoundError);
    await expect(sdk.compressions.cancel(job.id)).rejects.toBeInstanceOf(ConflictError);
  });

  test("errors have their classes", async () => {
    await expect(sdk.models.upload(badModels.truncated)).rejects.toBeInstanceOf(ValidationError);
    await expect(sdk.models.get("mdl_nonsense")).rejects.toThrow();
    const stranger = new Hone({ apiKey: "nonsense", baseUrl: server.url });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(AuthenticationError);
  });

  test("the catalogue names its sources", async () => {
    const names = (await sdk.accelerators.list()).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["tpu-v3", "h100", "t4"]));
  });

  test("webhook endpoints live through their life", async () => {
    const made = await sdk.webhookEndpoints.create({ url: "https://example.com/hook" });
    expect(made.secret).toMatch(/^whsec_/);
    const off = await sdk.webhookEndpoints.update(made.id, { enabled: false });
    expect(off).toMatchObject({ enabled: false, url: "https://example.com/hook" });
    expect((await sdk.webhookEndpoints.list()).data.map(({ id }) => id)).toContain(made.id);
    await sdk.webhookEndpoints.delete(made.id);
    await expect(sdk.webhookEndpoints.get(made.id)).rejects.toBeInstanceOf(NotFoundError);
  });
});
