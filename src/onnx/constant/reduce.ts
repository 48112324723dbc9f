import { DataType } from "../data-type.ts";
import { elementCount, type TensorArray, type TensorValue } from "../tensor-value.ts";
import type { Call, Evaluator, Evaluators } from "./call.ts";
import { narrowed, widened } from "./elementwise.ts";
import { axesOf } from "./shape.ts";
import {
  allocate,
  axisIn,
  entriesOf,
  int64,
  integers,
  isBig,
  isFloat,
  isInteger,
  larger,
  need,
  smaller,
  stridesOf,
} from "./values.ts";

/** One number of many: floats accumulate in double, integers in the tensor's own wrap-around. */
interface Fold {
  readonly start: number;
  readonly step: (total: number, x: number) => number;
  readonly end?: (total: number, count: number) => number;
  readonly big?: (total: bigint, x: bigint) => bigint;
  readonly bigStart?: bigint;
  /** Min and Max start from the first entry and have no value for nothing. */
  readonly fromFirst?: true;
}

const FOLDS: Readonly<Record<string, Fold>> = {
  ReduceSum: { start: 0, step: (t, x) => t + x, bigStart: 0n, big: (t, x) => t + x },
  ReduceMean: { start: 0, step: (t, x) => t + x, end: (t, count) => t / count },
  ReduceProd: { start: 1, step: (t, x) => t * x, bigStart: 1n, big: (t, x) => t * x },
  ReduceMax: {
    start: Number.NEGATIVE_INFINITY,
    step: Math.max,
    big: larger,
    fromFirst: true,
  },
  ReduceMin: {
    start: Number.POSITIVE_INFINITY,
    step: Math.min,
    big: smaller,
    fromFirst: true,
  },
  ReduceL1: { start: 0, step: (t, x) => t + Math.abs(x) },
  ReduceL2: { start: 0, step: (t, x) => t + x * x, end: Math.sqrt },
  ReduceSumSquare: { start: 0, step: (t, x) => t + x * x },
  ReduceLogSum: { start: 0, step: (t, x) => t + x, end: Math.log },
};

/** Reductions, running sums and choices along an axis. */
export const reduceOperators: Evaluators = {
  ...Object.fromEntries(
    Object.entries(FOLDS).map(([name, fold]): [string, Evaluator] => [name, (call) => [reduce(call, fold)]]),
  ),
  ReduceLogSumExp: (call) => [logSumExp(call)],
  CumSum: (call) => [cumulativeSum(call)],
  ArgMax: (call) => [argument(call, (a, b) => a > b)],
  ArgMin: (call) => [argument(call, (a, b) => a < b)],
  TopK: (call) => topK(call),
};

/** Which axes go, and where each entry's group lies. */
function grouping(
  call: Call,
  source: TensorValue,
): { dims: number[]; count: number; group: (i: number) => number } | null {
  const rank = source.dims.length;
  const given = axesOf(call);
  if (!given?.length && call.int("noop_with_empty_axes", 0)) return null;
  const axes = new Set(
    (given?.length ? given : source.dims.map((_, axis) => axis)).map((axis) => axisIn(axis, rank)),
  );
  const kept = source.dims.map((size, axis) => (axes.has(axis) ? 1 : size));
  const keptStrides = stridesOf(kept);
  const strides = stridesOf(source.dims);
  const dims = call.int("keepdims", 1) ? kept : source.dims.filter((_, axis) => !axes.has(axis));
  const count = source.dims.reduce((product, size, axis) => (axes.has(axis) ? product * size : product), 1);
  const group = (index: number) => {
    let at = 0;
    for (let axis = 0; axis < rank; axis++) {
      if (!axes.has(axis))
        at += (Math.floor(index / strides[axis]!) % source.dims[axis]!) * keptStrides[axis]!;
    }
    return at;
  };
  return { dims, count, group };
}

function reduce(call: Call, fold: Fold): TensorValue {
  const original = call.input(0);
  const source = widened(original);
  const groups = grouping(call, source);
  if (!groups) return original;
  const { dims, count, group } = groups;
  const groupCount = elementCount(dims);
  if (isBig(source.dataType)) {
    need(fold.big !== undefined && (count > 0 || !fold.fromFirst), "64-bit integers");
    const totals = new Array<bigint | undefined>(groupCount).fill(fold.bigStart);
    const entries = source.data as BigInt64Array;
    for (let i = 0; i < entries.length; i++) {
      const at = group(i);
      const total = totals[at];
      totals[at] = total === undefined ? entries[i]! : fold.big(total, entries[i]!);
    }
    const data = allocate(source.dataType, groupCount) as BigInt64Array;
    totals.forEach((total, i) => {
      data[i] = total!;
    });
    return { dataType: source.dataType, dims, data };
  }
  need(isFloat(source.dataType) || isInteger(source.dataType), "type");
  need(isFloat(source.dataType) || (!fold.end && (count > 0 || !fold.fromFirst)), "integers");
  const totals = new Float64Array(groupCount).fill(fold.start);
  const entries = source.data as Float32Array;
  for (let i = 0; i < entries.length; i++) {
    const at = group(i);
    totals[at] = fold.step(totals[at]!, entries[i]!);
  }
  const data = allocate(source.dataType, groupCount) as Float32Array;
  for (let i = 0; i < groupCount; i++) {
    need(isFloat(source.dataType) || Number.isSafeInteger(totals[i]), "integer past 2^53");
    data[i] = fold.end ? fold.end(totals[i]!, count) : totals[i]!;
  }
  return narrowed({ dataType: source.dataType, dims, data }, original.dataType);
}

/** With the largest entry taken out, so that nothing overflows. */
function logSumExp(call: Call): TensorValue {
  const original = call.input(0);
  const source = widened(original);
  need(isFloat(source.dataType), "float");
  const groups = grouping(call, source);
  if (!groups) return original;
  const { dims, group } = groups;
  const entries = source.data as Float32Array;
  const largest = new Float64Array(elementCount(dims)).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < entries.length; i++) largest[group(i)] = Math.max(largest[group(i)]!, entries[i]!);
  const sums = new Float64Array(largest.length);
  for (let i = 0; i < entries.length; i++) {
    const at = group(i);
    const top = Number.isFinite(largest[at]!) ? largest[at]! : 0;
    sums[at] = sums[at]! + Math.exp(entries[i]! - top);
  }
  const data = allocate(source.dataType, largest.length) as Float32Array;
  for (let i = 0; i < data.length; i++) {
    data[i] = Math.log(sums[i]!) + (Number.isFinite(largest[i]!) ? largest[i]! : 0);
  }
  return narrowed({ dataType: source.dataType, dims, data }, original.dataType);
}

function cumulativeSum(call: Call): TensorValue {
  const source = call.input(0);
  const axis = axisIn(integers(call.input(1))[0]!, source.dims.length);
  const [exclusive, reverse] = [call.int("exclusive", 0) !== 0, call.int("reverse", 0) !== 0];
  const big = isBig(source.dataType);
  need(
    big ||
      [DataType.FLOAT, DataType.DOUBLE, DataType.INT32, DataType.UINT32].includes(source.dataType as never),
    "type",
  );
  const size = source.dims[axis]!;
  const inner = stridesOf(source.dims)[axis]!;
  const data = entriesOf(allocate(source.dataType, source.data.length));
  const entries = entriesOf(source.data);
  const lines = size === 0 ? 0 : entries.length / size;
  for (let line = 0; line < lines; line++) {
    const base = Math.floor(line / inner) * inner * size + (line % inner);
    let total: number | bigint = big ? 0n : 0;
    for (let step = 0; step < size; step++) {
      const at = base + (reverse ? size - 1 - step : step) * inner;
      if (exclusive) data[at] = total;
      total = (total as number) + (entries[at] as number);
      if (!exclusive) data[at] = total;
      // Running sums round at every step, as the runtime's do.
      if (source.dataType === DataType.FLOAT) total = Math.fround(total as number);
    }
  }
  return { ...source, data: data as unknown as TensorArray };
}

function argument(call: Call, better: (a: number | bigint, b: number | bigint) => boolean): TensorValue {
  const source = widened(call.input(0));
  need(isFloat(source.dataType) || isInteger(source.dataType), "type");
  const axis = axisIn(call.int("axis", 0), source.dims.length);
  const last = call.int("select_last_index", 0) !== 0;
  const size = source.dims[axis]!;
  need(size > 0, "empty axis");
  const inner = stridesOf(source.dims)[axis]!;
  const entries = entriesOf(source.data);
  const results: number[] = [];
  for (let line = 0; line < entries.length / size; line++) {
    const base = Math.floor(line / inner) * inner * size + (line % inner);
    let best = 0;
    for (let i = 1; i < size; i++) {
      const [x, y] = [entries[base + i * inner]!, entries[base + best * inner]!];
      if (better(x, y) || (last && x === y)) best = i;
    }
    results.push(best);
  }
  const dims = call.int("keepdims", 1)
    ? source.dims.map((each, d) => (d === axis ? 1 : each))
    : source.dims.filter((_, d) => d !== axis);
  return int64(dims, results);
}

/** K is an attribute up to opset 9, an input from 10 on. Equal entries keep their order. */
function topK(call: Call): TensorValue[] {
  const source = call.input(0);
  need(source.dataType === DataType.FLOAT || isInteger(source.dataType), "type");
  const axis = axisIn(call.int("axis", -1), source.dims.length);
  const k = call.opset < 10 ? call.int("k", -1) : integers(call.input(1))[0]!;
  const size = source.dims[axis]!;
  need(k >= 0 && k <= size && call.int("sorted", 1) !== 0, "k");
  const largest = call.int("largest", 1) !== 0;
  const inner = stridesOf(source.dims)[axis]!;
  const dims = source.dims.map((each, d) => (d === axis ? k : each));
  const entries = entriesOf(source.data);
  need(!entries.includes(Number.NaN), "NaN has no order");
  const values = entriesOf(allocate(source.dataType, elementCount(dims)));
  const indices = new Array<number>(values.length);
  for (let line = 0; size > 0 && line < entries.length / size; line++) {
    const outer = Math.floor(line / inner);
    const base = outer * inner * size + (line % inner);
    const order = Array.from({ length: size }, (_, i) => i).sort((i, j) => {
      const [x, y] = [entries[base + i * inner]!, entries[base + j * inner]!];
      return x === y ? i - j : x > y === largest ? -1 : 1;
    });
    for (let i = 0; i < k; i++) {
      const at = outer * inner * k + i * inner + (line % inner);
      values[at] = entries[base + order[i]! * inner]!;
      indices[at] = order[i]!;
    }
  }
  return [{ dataType: source.dataType, dims, data: values as unknown as TensorArray }, int64(dims, indices)];
}
