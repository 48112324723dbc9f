import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { describeRuntime } from "./contract.ts";
import { RECOGNISER, RECOGNISER_DIGEST, recogniserDigest } from "./same-bits.ts";

describeRuntime("node", nodeRuntime);

describe("onnxruntime-web in Node", () => {
  test("gives the recogniser's answer to the bit", async () => {
    const runtime = await nodeRuntime();
    const session = await runtime.load(await readFile(RECOGNISER));
    expect(await recogniserDigest(session)).toBe(RECOGNISER_DIGEST);
    await session.release();
  });
});
