import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { Plan } from "../../schemas/plan.ts";
import { Report } from "../../schemas/report.ts";
import { type CompressionResource, CompressionResource as Resource } from "../../schemas/resources.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { tinyModel } from "../onnx/bytes.ts";
import {
  type Account,
  ended,
  jsonOf,
  newAccount,
  newJob,
  newModel,
  objectsOf,
  problemOf,
} from "./harness.ts";

const MIX = [
  { accelerator: "tpu-v3", count: 2 },
  { accelerator: "tpu-v2", count: 2 },
];

let account: Account;
let job: CompressionResource;

beforeAll(async () => {
  account = await newAccount();
  const model = await newModel(account);
  const { id } = await newJob(account, { model, mix: MIX, metadata: { build: "7" } });
  job = await ended(account, id);
}, 60_000);

describe("a compression", () => {
  test("succeeds, with its times, its progress and the caller's metadata", () => {
    expect(Resource.parse(job)).toMatchObject({ status: "succeeded", progress: 1, error: null });
    expect(job.metadata).toEqual({ build: "7" });
    expect(job.artifact!.bytes).toBeLessThanOrEqual(tinyModel.byteLength);
  });

  test("keeps its artifact, report and plan, and nothing else that it wrote", async () => {
    await vi.waitFor(async () => {
      const kept = (await objectsOf(account)).filter((key) => key.includes(job.id));
      const names = kept.map((key) => key.split("/").at(-1)).sort();
      expect(names).toEqual(["artifact.onnx", "plan.json", "report.json"]);
    });
  });

  test("gives its artifact whole, in parts and not again", async () => {
    const url = `/v1/compressions/${job.id}/artifact`;
    const whole = await account.fetch(url);
    const bytes = new Uint8Array(await whole.arrayBuffer());
    const etag = whole.headers.get("etag")!;
    expect(bytes.byteLength).toBe(job.artifact!.bytes);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(job.artifact!.sha256);

    const part = await account.fetch(url, { headers: { range: "bytes=3-9" } });
    expect([part.status, part.headers.get("content-range")]).toEqual([206, `bytes 3-9/${bytes.length}`]);
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(bytes.slice(3, 10));
    expect((await account.fetch(url, { headers: { "if-none-match": etag } })).status).toBe(304);
    expect((await account.fetch(url, { headers: { range: "bytes=99999-" } })).status).toBe(416);
  });

  test("gives a report that was measured, as JSON and as a page, and a plan", async () => {
    const report = Report.parse(await jsonOf(await account.fetch(`/v1/compressions/${job.id}/report`)));
    expect(report.artifact.sha256).toBe(job.artifact!.sha256);
    expect(report.bytes).toEqual({ original: tinyModel.byteLength, compressed: job.artifact!.bytes });
    expect(report.fidelity!.min_r2).toBeGreaterThanOrEqual(0.99);
    expect(report.engine.runtime).toContain("workerd");
    const page = await account.fetch(`/v1/compressions/${job.id}/report`, {
      headers: { accept: "text/html" },
    });
    expect(page.headers.get("content-type")).toContain("text/html");
    const plan = Plan.parse(await jsonOf(await account.fetch(`/v1/compressions/${job.id}/plan`)));
    expect(plan.verification).toMatchObject({ status: "passed", data: "synthetic" });
    for (const baseline of Object.values(plan.baselines)) {
      if (baseline.fits) expect(plan.step_time_s).toBeLessThanOrEqual(baseline.step_time_s);
    }
  });

  test.each([
    ["svg", "image/svg+xml", "<svg"],
    ["jax", "text/x-python", "PartitionSpec"],
    ["dtensor", "text/x-python", "init_device_mesh"],
  ])("gives its plan as %s", async (format, type, content) => {
    const answer = await account.fetch(`/v1/compressions/${job.id}/plan?format=${format}`);
    expect(answer.headers.get("content-type")).toContain(type);
    expect(await answer.text()).toContain(content);
  });

  test("gives a copy of its artifact with the plan as annotations, and no other format", async () => {
    const copy = await account.fetch(`/v1/compressions/${job.id}/plan?format=onnx`);
    const model = await readModel(bytesSource(new Uint8Array(await copy.arrayBuffer())));
    expect(model.irVersion).toBeGreaterThanOrEqual(11);
    expect(model.metadata.map(({ key }) => key)).toContain("hone.plan");
    const other = await account.fetch(`/v1/compressions/${job.id}/plan?format=pdf`);
    expect((await problemOf(other)).status).toBe(400);
  });

  test("of the same model and recipe gives the same bytes", async () => {
    const again = await ended(account, (await newJob(account, { model: job.model, mix: MIX })).id);
    expect(again.artifact!.sha256).toBe(job.artifact!.sha256);
  });

  test("that has ended cannot be canceled, but deleted with all that it left", async () => {
    const other = await ended(account, (await newJob(account, { model: job.model })).id);
    const cancel = await account.post(`/v1/compressions/${other.id}/cancel`, {});
    expect((await problemOf(cancel)).status).toBe(409);
    expect((await account.fetch(`/v1/compressions/${other.id}`, { method: "DELETE" })).status).toBe(204);
    expect((await objectsOf(account)).filter((key) => key.includes(other.id))).toEqual([]);
  });
});

describe("a compression that cannot succeed", () => {
  test.each([
    ["recipe_unsupported", { tune: { steps: 5 } }],
    ["recipe_unknown_layer", { layers: { "no such layer": { skip: true } } }],
    ["target_unreachable", { target: { max_bytes: 1 } }],
  ])("fails with %s and leaves nothing behind", async (code, recipe) => {
    const { id } = await newJob(account, { model: job.model, recipe });
    const failed = await ended(account, id);
    expect(failed).toMatchObject({ status: "failed", artifact: null, error: { code } });
    expect(failed.error!.message.length).toBeGreaterThan(20);
    await vi.waitFor(async () => {
      expect((await objectsOf(account)).filter((key) => key.includes(id))).toEqual([]);
    });
    expect((await problemOf(await account.fetch(`/v1/compressions/${id}/artifact`))).status).toBe(409);
  });
});

describe("canceling", () => {
  test("stops a job, frees what it wrote, and may be repeated", async () => {
    const { id } = await newJob(account, { model: job.model });
    const canceled = await jsonOf<CompressionResource>(
      await account.post(`/v1/compressions/${id}/cancel`, {}),
    );
    expect(canceled.status).toBe("canceled");
    expect((await account.post(`/v1/compressions/${id}/cancel`, {})).status).toBe(200);
    expect((await objectsOf(account)).filter((key) => key.includes(id))).toEqual([]);
    expect((await ended(account, id)).status).toBe("canceled");
  });
});

describe("one request for everything", () => {
  test("holds the answer while Prefer says so, and is the artifact", async () => {
    const response = await account.upload("/v1/compress?methods=", tinyModel, { prefer: "wait=50" });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-location")).toMatch(/^\/v1\/compressions\/cmp_\w+\/artifact$/);
    const bytes = new Uint8Array(await response.arrayBuffer());
    expect(bytes.byteLength).toBeLessThanOrEqual(tinyModel.byteLength);
    expect(bytes.byteLength).toBeGreaterThan(0);
  });

  test("without Prefer answers 202 with the job", async () => {
    const response = await account.upload("/v1/compress", tinyModel);
    expect(response.status).toBe(202);
    const { id } = await jsonOf<CompressionResource>(response);
    expect(response.headers.get("location")).toBe(`/v1/compressions/${id}`);
    expect((await ended(account, id)).status).toBe("succeeded");
  });

  test("takes a form with a mix beside the model", async () => {
    const form = new FormData();
    form.set("model", new File([tinyModel as Uint8Array<ArrayBuffer>], "model.onnx"));
    form.set("mix", "tpu-v3:2,tpu-v2:2");
    const { id } = await jsonOf<CompressionResource>(
      await account.fetch("/v1/compress", { method: "POST", body: form }),
    );
    expect((await ended(account, id)).mix).toEqual(MIX);
  });
});

describe("events", () => {
  test("tell the steps in order up to the end, as a stream and as a list alike", async () => {
    const url = `/v1/compressions/${job.id}/events`;
    const list = await jsonOf<{ data: { status: string; step: string | null }[] }>(await account.fetch(url));
    const steps = list.data.flatMap(({ step }) => step ?? []);
    for (const step of ["inspect", "simplify", "assemble", "evaluate"]) expect(steps).toContain(step);
    expect(list.data.at(-1)!.status).toBe("succeeded");
    const stream = await account.fetch(url, { headers: { accept: "text/event-stream" } });
    expect(stream.headers.get("content-type")).toContain("text/event-stream");
    const text = await stream.text();
    expect(text.match(/^data:/gm)).toHaveLength(list.data.length);
  });
});
