import { InferenceSession, Tensor } from "onnxruntime-node";
import { DataType } from "../src/onnx/data-type.ts";
import type { Feeds, Runtime } from "../src/runtime/runtime.ts";

/** Native ONNX Runtime on one thread, to take times with; of its outputs only the time is of use. */
export const nativeRuntime: Runtime = {
  name: "onnxruntime-node",
  memoryBytes: () => 0,
  async load(model) {
    const session = await InferenceSession.create(model, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    return {
      inputNames: session.inputNames,
      outputNames: session.outputNames,
      async run(feeds) {
        await session.run(tensorsOf(feeds));
        return {};
      },
      release: () => session.release(),
    };
  },
};

function tensorsOf(feeds: Feeds): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(feeds).map(([input, { dataType, dims, data }]) => [
      input,
      new Tensor(typeOf(dataType), data as Float32Array, dims),
    ]),
  );
}

function typeOf(dataType: number): "float32" | "int64" {
  if (dataType === DataType.FLOAT) return "float32";
  if (dataType === DataType.INT64) return "int64";
  throw new TypeError(`no model here takes inputs of type ${dataType}`);
}
