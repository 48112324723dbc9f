import { parentPort, workerData } from "node:worker_threads";
import { failureOf } from "../jobs/failures.ts";
import { LayerTasks } from "../jobs/layer-tasks.ts";
import { nodeKernels } from "../kernels/wasm/node.ts";
import type { ThreadMessage, ThreadStart } from "./layer-pool.ts";
import { LocalBlobs } from "./local-blobs.ts";

/** A thread of the pool: treats the layers that it is given, one after the other. */
const { folder, inputs, prefix } = workerData as ThreadStart;
const port = parentPort!;
const say = (message: ThreadMessage) => port.postMessage(message);
const failed = (error: unknown) => say({ kind: "failed", failure: failureOf(error), error });

try {
  const kernels = await nodeKernels();
  const blobs = new LocalBlobs(folder);
  await blobs.mountFiles(inputs);
  const tasks = await LayerTasks.open(
    { prefix },
    {
      blobs,
      kernels: async () => kernels,
      wasmBytes: () => kernels.memoryBytes(),
      now: async () => performance.now(),
    },
  );
  port.on("message", (layer: number) => {
    tasks.treatOrLeave(layer).then(() => say({ kind: "done", layer }), failed);
  });
  say({ kind: "ready" });
} catch (error) {
  failed(error);
}
