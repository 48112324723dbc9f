import { env, introspectWorkflow } from "cloudflare:test";
import { expect, test } from "vitest";
import { ended, newAccount, newJob, newModel } from "../api/harness.ts";

test.each(["inspect", "simplify", "assemble", "evaluate", "end"])(
  "a step that fails twice (%s) is run again, and the artifact is the same",
  async (name) => {
    const account = await newAccount();
    const model = await newModel(account);
    const undisturbed = await ended(account, (await newJob(account, { model })).id);
    await using workflow = await introspectWorkflow(env.COMPRESSIONS);
    await workflow.modifyAll(async (instance) => {
      await instance.disableRetryDelays();
      await instance.mockStepError({ name }, new Error("the isolate was lost"), 2);
    });
    const disturbed = await ended(account, (await newJob(account, { model })).id);
    expect(disturbed.status).toBe("succeeded");
    expect(disturbed.artifact!.sha256).toBe(undisturbed.artifact!.sha256);
  },
);

test("a step that fails for good fails the job as ours, without a word of what broke", async () => {
  const account = await newAccount();
  const model = await newModel(account);
  await using workflow = await introspectWorkflow(env.COMPRESSIONS);
  await workflow.modifyAll(async (instance) => {
    await instance.disableRetryDelays();
    await instance.mockStepError({ name: "assemble" }, new Error("D1 is on fire"));
  });
  const failed = await ended(account, (await newJob(account, { model })).id);
  expect(failed).toMatchObject({ status: "failed", error: { code: "internal_error" } });
  expect(JSON.stringify(failed)).not.toContain("on fire");
});
