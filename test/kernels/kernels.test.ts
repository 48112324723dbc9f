import { expect, test } from "vitest";
import { referenceKernels } from "../../src/kernels/reference/kernels.ts";
import { nodeKernels } from "../../src/kernels/wasm/node.ts";
import { describeKernels } from "./contract.ts";
import { KERNELS_DIGEST, kernelsDigest } from "./every-kernel.ts";
import { describeRounding } from "./rounding-contract.ts";
import { describeSteps } from "./steps-contract.ts";

describeKernels("the reference", async () => referenceKernels);
describeSteps("the reference", async () => referenceKernels);
describeRounding("the reference", async () => referenceKernels);
describeKernels("WASM in Node", nodeKernels);
describeSteps("WASM in Node", nodeKernels);
describeRounding("WASM in Node", nodeKernels);

test("every kernel gives the same bits in Node, workerd and Chromium", async () => {
  expect(await kernelsDigest(await nodeKernels())).toBe(KERNELS_DIGEST);
});
