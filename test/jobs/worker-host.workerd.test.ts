import { env } from "cloudflare:test";
import type { WorkflowStep } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { JobEndedError, JobFailure } from "../../src/jobs/failures.ts";
import { WorkerHost } from "../../src/jobs/worker-host.ts";
import { newId } from "../../src/store/ids.ts";
import { incomingKey } from "../../src/store/object-keys.ts";
import { Store } from "../../src/store/store.ts";

/** A Workflow that remembers nothing, as one that the local runtime has started over. */
const forgetful = { do: (_name: string, _config: object, work: () => unknown) => work() };

/** Hosts of the same job, each as after another restart. */
function restarts(): () => WorkerHost {
  const compression = newId("cmp", Date.now());
  const prefix = incomingKey("acc", `${compression}/`);
  const store = new Store(env);
  return () => new WorkerHost(forgetful as unknown as WorkflowStep, store, env, { compression, prefix });
}

test("a step that has been done is not done again after a restart", async () => {
  const host = restarts();
  const work = vi.fn(async () => ({ layers: [1, 2, 3] }));
  expect(await host().step("count", work)).toEqual({ layers: [1, 2, 3] });
  expect(await host().step("count", work)).toEqual({ layers: [1, 2, 3] });
  expect(work).toHaveBeenCalledOnce();
});

test("a failure that lies with the caller is kept as well", async () => {
  const host = restarts();
  const work = vi.fn(() => Promise.reject(new JobFailure({ code: "model_bad", message: "bad" })));
  for (let run = 0; run < 2; run++) {
    await expect(host().step("read", work)).rejects.toMatchObject({ code: "model_bad" });
  }
  expect(work).toHaveBeenCalledOnce();
});

test.each([
  ["one of ours", new Error("R2 is busy")],
  ["the end of a job that was canceled", new JobEndedError("canceled")],
])("%s is not", async (_what, error) => {
  const host = restarts();
  await expect(host().step("write", () => Promise.reject(error))).rejects.toBeInstanceOf(error.constructor);
  expect(await host().step("write", async () => 7)).toBe(7);
});
