import { DataType } from "../data-type.ts";
import { elementCount, type TensorValue } from "../tensor-value.ts";
import type { Call, Evaluators } from "./call.ts";
import { narrowed, widened } from "./elementwise.ts";
import {
  allocate,
  axisIn,
  broadcastDims,
  broadcastTo,
  isFloat,
  isHalf,
  MAX_WORK,
  need,
  stridesOf,
} from "./values.ts";

/** Products of matrices and dequantisation. Sums run in double and are rounded once. */
export const linearOperators: Evaluators = {
  MatMul: (call) => [matmul(call.input(0), call.input(1))],
  Gemm: (call) => [gemm(call)],
  DequantizeLinear: (call) => [dequantize(call)],
};

/** NumPy's matmul on floats: 1-D operands gain an axis and lose it again, leading axes broadcast. */
export function matmul(left: TensorValue, right: TensorValue): TensorValue {
  need(left.dataType === right.dataType && isFloat(left.dataType), "floats of one type");
  need(left.dims.length > 0 && right.dims.length > 0, "rank");
  const a = left.dims.length === 1 ? { ...left, dims: [1, ...left.dims] } : left;
  const b = right.dims.length === 1 ? { ...right, dims: [...right.dims, 1] } : right;
  const [rows, inner] = a.dims.slice(-2) as [number, number];
  const [innerB, columns] = b.dims.slice(-2) as [number, number];
  need(inner === innerB, "inner sizes differ");
  const batch = broadcastDims(a.dims.slice(0, -2), b.dims.slice(0, -2));
  const count = elementCount(batch);
  need(count * rows * columns * inner <= MAX_WORK, "too much work");
  const x = broadcastTo(widened(a), [...batch, rows, inner]).data as Float32Array;
  const y = broadcastTo(widened(b), [...batch, inner, columns]).data as Float32Array;
  const dataType = isHalf(left.dataType) ? DataType.FLOAT : left.dataType;
  const data = allocate(dataType, count * rows * columns) as Float32Array;
  const line = new Float64Array(columns);
  for (let i = 0; i < count * rows; i++) {
    line.fill(0);
    const base = Math.floor(i / rows) * inner * columns;
    for (let k = 0; k < inner; k++) {
      const factor = x[i * inner + k]!;
      for (let j = 0; j < columns; j++) line[j] = line[j]! + factor * y[base + k * columns + j]!;
    }
    data.set(line, i * columns);
  }
  const dims = [
    ...batch,
    ...(left.dims.length === 1 ? [] : [rows]),
    ...(right.dims.length === 1 ? [] : [columns]),
  ];
  return narrowed({ dataType, dims, data }, left.dataType);
}

function transposed(value: TensorValue): TensorValue {
  const [rows, columns] = value.dims as [number, number];
  const data = allocate(value.dataType, rows * columns) as Float32Array;
  const entries = value.data as Float32Array;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) data[j * rows + i] = entries[i * columns + j]!;
  }
  return { ...value, dims: [columns, rows], data };
}

function gemm(call: Call): TensorValue {
  const [a, b, c] = [call.input(0), call.input(1), call.optional(2)];
  need(a.dims.length === 2 && b.dims.length === 2, "matrices");
  need(a.dataType === DataType.FLOAT || a.dataType === DataType.DOUBLE, "float or double");
  const product = matmul(
    call.int("transA", 0) ? transposed(a) : a,
    call.int("transB", 0) ? transposed(b) : b,
  );
  const alpha = call.float("alpha", 1);
  const beta = call.float("beta", 1);
  const bias = c && broadcastTo(c, product.dims);
  need(!c || c.dataType === a.dataType, "type of C");
  const data = allocate(a.dataType, product.data.length) as Float32Array;
  const entries = product.data as Float32Array;
  const added = bias?.data as Float32Array | undefined;
  for (let i = 0; i < data.length; i++) data[i] = alpha * entries[i]! + (added ? beta * added[i]! : 0);
  return { ...product, data };
}

/** (x − zero point) · scale, per tensor or along an axis (opset 13); blocked scales (21) are left to the runtime. */
function dequantize(call: Call): TensorValue {
  const [x, scale, zero] = [call.input(0), call.input(1), call.optional(2)];
  const types: readonly number[] = [
    DataType.INT8,
    DataType.UINT8,
    DataType.INT16,
    DataType.UINT16,
    DataType.INT32,
    DataType.INT4,
    DataType.UINT4,
  ];
  need(types.includes(x.dataType) && (!zero || zero.dataType === x.dataType), "type");
  need(call.int("block_size", 0) === 0 && scale.dataType === DataType.FLOAT, "per tensor or per axis, float");
  const perTensor = elementCount(scale.dims) === 1 && scale.dims.length <= 1;
  const axis = perTensor ? 0 : axisIn(call.int("axis", 1), x.dims.length);
  need(perTensor || (scale.dims.length === 1 && scale.dims[0] === x.dims[axis]), "scale");
  need(!zero || zero.data.length === scale.data.length, "zero point");
  const inner = perTensor ? 1 : stridesOf(x.dims)[axis]!;
  const scales = scale.data as Float32Array;
  const entries = x.data as Int8Array;
  const data = allocate(DataType.FLOAT, entries.length) as Float32Array;
  for (let i = 0; i < data.length; i++) {
    const at = Math.floor(i / inner) % scales.length;
    data[i] = (entries[i]! - Number(zero?.data[at] ?? 0)) * scales[at]!;
  }
  return { dataType: DataType.FLOAT, dims: x.dims, data };
}
