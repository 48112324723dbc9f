import { expect, test } from "vitest";
import { workerdKernels } from "../../src/kernels/wasm/workerd.ts";
import { describeKernels } from "./contract.ts";
import { KERNELS_DIGEST, kernelsDigest } from "./every-kernel.ts";
import { describeRounding } from "./rounding-contract.ts";
import { describeSteps } from "./steps-contract.ts";

describeKernels("WASM in workerd", workerdKernels);
describeSteps("WASM in workerd", workerdKernels);
describeRounding("WASM in workerd", workerdKernels);

test("every kernel gives the same bits in Node, workerd and Chromium", async () => {
  expect(await kernelsDigest(await workerdKernels())).toBe(KERNELS_DIGEST);
});
