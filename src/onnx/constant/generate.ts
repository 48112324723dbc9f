import { DataType } from "../data-type.ts";
import { elementCount, type TensorValue } from "../tensor-value.ts";
import type { Call, Evaluators } from "./call.ts";
import { narrowed, widened } from "./elementwise.ts";
import {
  allocate,
  axisIn,
  checkedDims,
  entriesOf,
  integers,
  isBig,
  need,
  picked,
  stridesOf,
} from "./values.ts";

/** Operators that make entries which were not there: ranges and margins. */
export const generateOperators: Evaluators = {
  Range: (call) => [range(call)],
  Pad: (call) => [pad(call)],
};

function range(call: Call): TensorValue {
  const [start, limit, delta] = [call.input(0), call.input(1), call.input(2)];
  const { dataType } = start;
  need(limit.dataType === dataType && delta.dataType === dataType, "types differ");
  const plain: readonly number[] = [
    DataType.FLOAT,
    DataType.DOUBLE,
    DataType.INT16,
    DataType.INT32,
    DataType.INT64,
  ];
  need(plain.includes(dataType), "type");
  const [from, to, step] = [start, limit, delta].map((value) => {
    need(value.data.length === 1, "scalars");
    return Number(value.data[0]);
  }) as [number, number, number];
  need(step !== 0 && [from, to, step].every((x) => Math.abs(x) <= Number.MAX_SAFE_INTEGER), "bounds");
  const count = Math.max(0, Math.ceil((to - from) / step));
  const data = entriesOf(allocate(dataType, count));
  if (isBig(dataType)) {
    for (let i = 0; i < count; i++) data[i] = BigInt(from + i * step);
  } else if (dataType === DataType.FLOAT || dataType === DataType.DOUBLE) {
    // Added step by step and rounded each time, as the runtime does.
    let value = from;
    for (let i = 0; i < count; i++) {
      data[i] = value;
      value = dataType === DataType.FLOAT ? Math.fround(value + step) : value + step;
    }
  } else {
    for (let i = 0; i < count; i++) data[i] = from + i * step;
  }
  return { dataType, dims: [count], data: data as unknown as TensorValue["data"] };
}

/** Margins per axis: first all beginnings, then all ends. */
function pad(call: Call): TensorValue {
  const source = call.input(0);
  const rank = source.dims.length;
  const fromInputs = call.opset >= 11;
  const given = fromInputs ? integers(call.input(1)) : (call.ints("pads") ?? []);
  const axesInput = call.opset >= 18 ? call.optional(3) : undefined;
  const axes = axesInput
    ? integers(axesInput).map((axis) => axisIn(axis, rank))
    : source.dims.map((_, i) => i);
  need(given.length === 2 * axes.length && new Set(axes).size === axes.length, "pads");
  const begin = new Array<number>(rank).fill(0);
  const end = new Array<number>(rank).fill(0);
  axes.forEach((axis, i) => {
    begin[axis] = given[i]!;
    end[axis] = given[i + axes.length]!;
  });
  const dims = checkedDims(source.dims.map((size, axis) => size + begin[axis]! + end[axis]!));
  const mode = call.string("mode", "constant");
  const own = stridesOf(source.dims);
  const strides = stridesOf(dims);
  const reach = MODES[mode];
  need(reach !== undefined, `mode ${mode}`);
  need(mode === "constant" || elementCount(source.dims) > 0, "nothing to repeat");
  need(mode !== "reflect" || source.dims.every((size, a) => size > 1 || (!begin[a] && !end[a])), "reflect");
  const fill = padValue(call, source, fromInputs);
  const stored = [...(source.data as Iterable<unknown>), fill] as unknown as TensorValue["data"];
  const extended: TensorValue = { ...source, data: stored };
  const outside = source.data.length;
  return picked(extended, dims, (index) => {
    let from = 0;
    for (let axis = 0; axis < rank; axis++) {
      const at = reach((Math.floor(index / strides[axis]!) % dims[axis]!) - begin[axis]!, source.dims[axis]!);
      if (at < 0 || at >= source.dims[axis]!) return outside;
      from += at * own[axis]!;
    }
    return from;
  });
}

/** Where a position outside of [0, size) takes its entry from. */
const MODES: Readonly<Record<string, (at: number, size: number) => number>> = {
  constant: (at) => at,
  edge: (at, size) => Math.min(Math.max(at, 0), size - 1),
  reflect: (at, size) => {
    const period = 2 * (size - 1) || 1;
    const folded = ((at % period) + period) % period;
    return folded < size ? folded : period - folded;
  },
  wrap: (at, size) => ((at % size) + size) % size,
};

function padValue(call: Call, source: TensorValue, fromInputs: boolean): number | bigint | string {
  const given = fromInputs ? call.optional(2) : undefined;
  if (given) {
    need(given.dataType === source.dataType && given.data.length === 1, "pad value");
    return given.data[0]!;
  }
  const zero = allocate(source.dataType, 1);
  if (fromInputs) return zero[0]!;
  const value = call.float("value", 0);
  if (value === 0) return zero[0]!;
  const wide = widened({ dataType: source.dataType, dims: [1], data: zero });
  need(wide.dataType === DataType.FLOAT || wide.dataType === DataType.DOUBLE, "float");
  (wide.data as Float32Array)[0] = value;
  return narrowed(wide, source.dataType).data[0]!;
}
