import { env, introspectWorkflow } from "cloudflare:test";
import { expect, test } from "vitest";
import { sweep } from "../../src/jobs/sweep.ts";
import { newId } from "../../src/store/ids.ts";
import { jobPrefix } from "../../src/store/object-keys.ts";
import { Store } from "../../src/store/store.ts";
import { ended, newAccount, newJob, newModel, objectsOf } from "../api/harness.ts";
import { stackModel } from "./stack-model.ts";

const MINUTE = 60_000;
const store = new Store(env);

test.each([
  "start",
  "inspect",
  "simplify",
  "calibrate",
  "prune channels",
  "prepare trials",
  "give out layers",
  "layers 1",
  "try 1 of 3",
  "assemble",
  "evaluate",
])("a job that is canceled after %s keeps nothing", async (name) => {
  const account = await newAccount();
  const model = await newModel(account, await stackModel(3, 8));
  await using workflow = await introspectWorkflow(env.COMPRESSIONS);
  const { id } = await newJob(account, { model, recipe: { methods: ["quantization", "channel_pruning"] } });
  const [instance] = await workflow.get();
  await instance!.waitForStepResult({ name });
  await account.post(`/v1/compressions/${id}/cancel`, {});
  expect((await ended(account, id)).status).toBe("canceled");
  // What a step had under way when it was stopped may still have been written.
  await sweep(store, env, Date.now() + 16 * MINUTE);
  expect((await objectsOf(account)).filter((key) => key.includes(id))).toEqual([]);
});

test("what is written late for an ended job is freed 15 minutes later, and its results stay", async () => {
  const account = await newAccount();
  const { id } = await newJob(account, { model: await newModel(account) });
  await ended(account, id);
  await store.objects.putBytes(`${jobPrefix(account.id, id)}treated/7`, "late");
  const names = async () => {
    const keys = (await objectsOf(account)).filter((key) => key.includes(id));
    return keys.map((key) => key.split("/").at(-1)).sort();
  };
  await sweep(store, env, Date.now() + 14 * MINUTE);
  expect(await names()).toContain("7");
  await sweep(store, env, Date.now() + 16 * MINUTE);
  expect(await names()).toEqual(["artifact.onnx", "report.json"]);
});

test("objects of a job that nobody knows are deleted a day after they were written", async () => {
  const account = await newAccount();
  await store.objects.putBytes(`${jobPrefix(account.id, newId("cmp", 0))}simplified.onnx`, "orphan");
  await sweep(store, env, Date.now() + 23 * 60 * MINUTE);
  expect(await objectsOf(account)).toHaveLength(1);
  await sweep(store, env, Date.now() + 25 * 60 * MINUTE);
  expect(await objectsOf(account)).toEqual([]);
});
