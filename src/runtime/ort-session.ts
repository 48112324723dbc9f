import type { Env, InferenceSession, Tensor, TensorConstructor } from "onnxruntime-web/wasm";
import { dataTypeName } from "../onnx/data-type.ts";
import { elementCount, type TensorArray, type TensorValue } from "../onnx/tensor-value.ts";
import { ORT_TYPES } from "./element-types.ts";
import { RuntimeInitError, RuntimeLoadError, RuntimeRunError } from "./errors.ts";
import { memoryBytes, watchMemory } from "./ort-memory.ts";
import type { Feeds, LoadOptions, Runtime, Session } from "./runtime.ts";

/** What the hosts share: the two constructors of onnxruntime-web, however it was loaded. */
export interface Ort {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: TensorConstructor;
}

/** Severity "fatal": whatever goes wrong is thrown with its message, so nothing is printed as well. */
const SILENT = 4;

/** One thread, in the caller's own, and silent: the same on every host. Has to come before the first session. */
export function configure(env: Env): void {
  watchMemory(env);
  env.logLevel = "fatal";
  env.wasm.numThreads = 1;
  env.wasm.proxy = false;
}

/** onnxruntime-web, once it is configured, as a runtime. `host` is where it runs: "node", "workerd", "browser". */
export function ortRuntime(ort: Ort & { readonly env: Env }, host: string): Runtime {
  return {
    name: `onnxruntime-web ${ort.env.versions.web} (wasm, ${host})`,
    load: (model, options) => loadSession(ort, model, options),
    memoryBytes: () => memoryBytes(ort.env),
  };
}

/** What onnxruntime-web says at every load once its one initialisation has failed, whatever the model. */
const NOT_STARTED = /no available backend found|initializeWebAssembly/;

/**
 * Loads a model into onnxruntime-web.
 * @throws RuntimeLoadError with the runtime's own message when it refuses the model, RuntimeInitError when it could
 * not be started at all.
 */
export async function loadSession(ort: Ort, model: Uint8Array, options: LoadOptions = {}): Promise<Session> {
  let session: InferenceSession;
  try {
    session = await ort.InferenceSession.create(model, sessionOptions(options));
  } catch (error) {
    if (NOT_STARTED.test(messageOf(error))) {
      throw new RuntimeInitError(
        `onnxruntime-web could not be started, and only a new process or isolate can try again: ${messageOf(error)}`,
        { cause: error },
      );
    }
    throw new RuntimeLoadError(`onnxruntime-web refuses the model: ${messageOf(error)}`, { cause: error });
  }
  const fetches = session.outputMetadata.filter((output) => output.isTensor).map((output) => output.name);
  return {
    inputNames: session.inputNames,
    outputNames: fetches,
    async run(feeds) {
      const results = await attempt(() =>
        session.run(toTensors(ort, feeds), fetches, { logSeverityLevel: SILENT }),
      );
      return Object.fromEntries(fetches.map((name) => [name, fromTensor(results[name]!)]));
    },
    async release() {
      await attempt(() => session.release());
    },
  };
}

/** Memory other than as it comes costs speed: no arena that doubles as it grows, and no memory pattern. */
function sessionOptions({ optimization, memory, external }: LoadOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: ["wasm"],
    graphOptimizationLevel: optimization === "none" ? "disabled" : "all",
    logSeverityLevel: SILENT,
    ...(memory && { enableCpuMemArena: false, enableMemPattern: false }),
    ...(memory === "lean" && { extra: { session: { disable_prepacking: "1" } } }),
    ...(external && { externalData: external }),
  };
}

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RuntimeRunError) throw error;
    throw new RuntimeRunError(`onnxruntime-web fails on these inputs: ${messageOf(error)}`, { cause: error });
  }
}

/** ORT's WASM build throws strings, numbers (a C++ exception's pointer) and errors. */
function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  return typeof error === "number" ? `C++ exception ${error}, most often out of memory` : String(error);
}

const DATA_TYPES = new Map([...ORT_TYPES].map(([code, name]) => [name, code]));

function toTensors(ort: Ort, feeds: Feeds): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, toTensor(ort, name, value)]));
}

function toTensor(ort: Ort, name: string, value: TensorValue): Tensor {
  const type = ORT_TYPES.get(value.dataType);
  if (type === undefined) {
    throw new RuntimeRunError(
      `input ${JSON.stringify(name)} has type ${dataTypeName(value.dataType)}, which onnxruntime-web takes no values of`,
    );
  }
  if (value.data.length !== elementCount(value.dims)) {
    throw new RuntimeRunError(
      `input ${JSON.stringify(name)} has ${value.data.length} elements, but shape [${value.dims}]`,
    );
  }
  // float16 travels as bit patterns; ort.Tensor views them as Float16Array where the host has that.
  return new ort.Tensor(type, value.data as Tensor.DataType, value.dims);
}

function fromTensor(tensor: Tensor): TensorValue {
  const dataType = DATA_TYPES.get(tensor.type);
  if (dataType === undefined) throw new RuntimeRunError(`onnxruntime-web answers with type ${tensor.type}`);
  const data = tensor.data;
  return {
    dataType,
    dims: tensor.dims,
    data:
      tensor.type === "float16" && ArrayBuffer.isView(data)
        ? new Uint16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length)
        : (data as TensorArray),
  };
}
