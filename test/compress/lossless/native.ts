import * as ort from "onnxruntime-node";
import { DataType, dataTypeName } from "../../../src/onnx/data-type.ts";
import type { TensorArray, TensorValue } from "../../../src/onnx/tensor-value.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";

/** ONNX Runtime's names of the types that differ from ONNX's own. */
const NAMES: Readonly<Record<number, ort.Tensor.Type>> = {
  [DataType.FLOAT]: "float32",
  [DataType.DOUBLE]: "float64",
};

export function toOrt({ dataType, dims, data }: TensorValue): ort.Tensor {
  const type = NAMES[dataType] ?? (dataTypeName(dataType) as ort.Tensor.Type);
  return new ort.Tensor(type, data as never, [...dims]);
}

function fromOrt(tensor: ort.Tensor): TensorValue {
  const name = Object.entries(NAMES).find(([, type]) => type === tensor.type);
  const code = name
    ? Number(name[0])
    : Object.values(DataType).find((type) => dataTypeName(type) === tensor.type);
  return { dataType: code!, dims: tensor.dims, data: tensor.data as TensorArray };
}

/** Native ONNX Runtime on a whole model, without graph optimisation: what the file itself computes. */
export async function runNative(bytes: Uint8Array, feeds: Feeds): Promise<Feeds> {
  const session = await ort.InferenceSession.create(bytes, {
    graphOptimizationLevel: "disabled",
    logSeverityLevel: 4,
    // Test files run side by side; more threads would only wait for each other.
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  try {
    const inputs = Object.fromEntries(
      session.inputNames
        .filter((name) => feeds[name] !== undefined)
        .map((name) => [name, toOrt(feeds[name]!)]),
    );
    const outputs = await session.run(inputs);
    return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, fromOrt(tensor)]));
  } finally {
    await session.release();
  }
}

/**
 * Largest difference of two values relative to the largest magnitude of the first. Infinite where types or shapes
 * differ, where one is NaN and the other not, or where anything but floats is not equal.
 */
export function relativeDifference(a: TensorValue, b: TensorValue): number {
  if (a.dataType !== b.dataType || a.dims.join() !== b.dims.join()) return Number.POSITIVE_INFINITY;
  const floats: readonly number[] = [DataType.FLOAT, DataType.DOUBLE];
  if (!floats.includes(a.dataType)) {
    return a.data.length === b.data.length && a.data.every((entry: unknown, i: number) => entry === b.data[i])
      ? 0
      : Number.POSITIVE_INFINITY;
  }
  const [x, y] = [a.data as Float32Array, b.data as Float32Array];
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < x.length; i++) {
    if (Object.is(x[i], y[i]) || x[i] === y[i]) {
      if (Number.isFinite(x[i]!)) largest = Math.max(largest, Math.abs(x[i]!));
      continue;
    }
    const step = Math.abs(x[i]! - y[i]!);
    if (!Number.isFinite(step)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, step);
    largest = Math.max(largest, Math.abs(x[i]!));
  }
  return difference === 0 ? 0 : difference / largest;
}

/** ‖a − b‖ / ‖a‖ of float tensors; what {@link relativeDifference} says of others. */
export function relativeError(a: TensorValue, b: TensorValue): number {
  const floats: readonly number[] = [DataType.FLOAT, DataType.DOUBLE];
  const difference = relativeDifference(a, b);
  if (!floats.includes(a.dataType) || difference === 0 || difference === Number.POSITIVE_INFINITY)
    return difference;
  const [x, y] = [a.data as Float32Array, b.data as Float32Array];
  let error = 0;
  let norm = 0;
  for (let i = 0; i < x.length; i++) {
    if (!Number.isFinite(x[i]!)) continue;
    error += (x[i]! - y[i]!) ** 2;
    norm += x[i]! ** 2;
  }
  return Math.sqrt(error / norm);
}
