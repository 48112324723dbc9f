import { referenceKernels } from "../../src/kernels/reference/kernels.ts";
import { nodeKernels } from "../../src/kernels/wasm/node.ts";
import { describeKernels } from "./contract.ts";

describeKernels("the reference", async () => referenceKernels);
describeKernels("WASM in Node", nodeKernels);
