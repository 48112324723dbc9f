import { DataType } from "../../data-type.ts";
import type { Dim } from "../../model.ts";
import { contradict } from "../dims.ts";
import type { Dims } from "../facts.ts";
import { isStatic, tensor } from "../facts.ts";
import type { Rule, RuleContext, RuleTable } from "../rule.ts";
import type { Window } from "../window.ts";
import { transposedSize, windowOf, windowSize } from "../window.ts";

/** [N, C, spatial…] with the window's output sizes; null when the kernel is not known. */
function slide(c: RuleContext, x: Dims, kernel: Dims | null, channels: Dim): Dims {
  const spatial = x.slice(2);
  const window = kernel && isStatic(kernel) ? windowOf(c.node, kernel) : null;
  if (window && window.kernel.length !== spatial.length) {
    c.contradiction(`${c.node.opType} has a ${window.kernel.length}-D kernel for ${spatial.length}-D maps`);
  }
  return [x[0] ?? null, channels, ...spatial.map((size, axis) => outputSize(c, window, size, axis))];
}

function outputSize(c: RuleContext, window: Window | null, size: Dim, axis: number): Dim {
  if (!window) return null;
  const out = windowSize(window, axis, size);
  if (typeof out === "number" && out < 0) {
    c.contradiction(`${c.node.opType}'s window is larger than its input`);
    return null;
  }
  return out;
}

/** Conv and its quantised forms: the index of the weight, and the output's type. */
function convolution(weight: number, type: (c: RuleContext) => number): Rule {
  return (c) => {
    const x = c.dims(0);
    const w = c.dims(weight);
    if (!x) return [tensor(type(c), w ? [null, w[0] ?? null, ...w.slice(2).map(() => null)] : null)];
    const inputChannels = w?.[1];
    if (
      typeof inputChannels === "number" &&
      contradict(x[1], inputChannels * c.int("group", 1)) &&
      c.node.domain === ""
    ) {
      c.contradiction(`${c.node.opType} expects ${inputChannels * c.int("group", 1)} input channels`);
    }
    const kernel = c.ints("kernel_shape") ?? w?.slice(2) ?? null;
    return [tensor(type(c), slide(c, x, kernel, w?.[0] ?? null))];
  };
}

const convTranspose: Rule = (c) => {
  const x = c.dims(0);
  const w = c.dims(1);
  if (!x) return [tensor(c.type(0), null)];
  const perGroup = w?.[1];
  const channels = typeof perGroup === "number" ? perGroup * c.int("group", 1) : null;
  if (contradict(x[1], w?.[0])) c.contradiction("ConvTranspose's weight does not fit its input's channels");
  const kernel = c.ints("kernel_shape") ?? w?.slice(2) ?? null;
  const window = kernel && isStatic(kernel) ? windowOf(c.node, kernel) : null;
  const given = c.ints("output_shape");
  const spatial = x.slice(2).map((size, axis) => {
    if (given) return given[given.length - (x.length - 2) + axis] ?? null;
    return window ? transposedSize(window, axis, size) : null;
  });
  return [tensor(c.type(0), [x[0] ?? null, channels, ...spatial])];
};

const deformConv: Rule = (c) => {
  const x = c.dims(0);
  const w = c.dims(1);
  if (!x || !w) return [tensor(c.type(0), null)];
  return [tensor(c.type(0), slide(c, x, c.ints("kernel_shape") ?? w.slice(2), w[0] ?? null))];
};

/** Pooling; the second output of MaxPool holds the indices. */
const pool: Rule = (c) => {
  const x = c.dims(0);
  const dims = x ? slide(c, x, c.ints("kernel_shape") ?? null, x[1] ?? null) : null;
  return [tensor(c.type(0), dims), tensor(DataType.INT64, dims)];
};

const globalPool: Rule = (c) => {
  const x = c.dims(0);
  return [tensor(c.type(0), x?.map((dim, axis) => (axis < 2 ? dim : 1)) ?? null)];
};

const maxUnpool: Rule = (c) => {
  const x = c.dims(0);
  if (!x) return [tensor(c.type(0), null)];
  if (c.has(2)) {
    const sizes = c.elements(2);
    return [tensor(c.type(0), sizes ?? x.map(() => null))];
  }
  const kernel = c.ints("kernel_shape");
  const window = kernel ? windowOf(c.node, kernel) : null;
  const spatial = x.slice(2).map((size, axis) => (window ? transposedSize(window, axis, size) : null));
  return [tensor(c.type(0), [x[0] ?? null, x[1] ?? null, ...spatial])];
};

const maxRoiPool: Rule = (c) => {
  const pooled = c.ints("pooled_shape") ?? [null, null];
  return [tensor(c.type(0), [c.dims(1)?.[0] ?? null, c.dims(0)?.[1] ?? null, ...pooled])];
};

const roiAlign: Rule = (c) => [
  tensor(c.type(0), [
    c.dims(1)?.[0] ?? null,
    c.dims(0)?.[1] ?? null,
    c.int("output_height", 1),
    c.int("output_width", 1),
  ]),
];

const col2Im: Rule = (c) => {
  const image = c.elements(1);
  const block = c.numbers(2);
  const rank = c.length(1);
  const columns = c.dims(0)?.[1];
  const size = block?.reduce((a, b) => a * b, 1);
  const channels = typeof columns === "number" && size ? columns / size : null;
  const spatial = image ?? (typeof rank === "number" && rank <= 8 ? Array<null>(rank).fill(null) : null);
  return [tensor(c.type(0), spatial && [c.dims(0)?.[0] ?? null, channels, ...spatial])];
};

/** Sliding windows: convolutions and pooling, NCHW. */
export const convolutionRules: RuleTable = {
  Conv: convolution(1, (c) => c.type(0)),
  ConvInteger: convolution(1, () => DataType.INT32),
  QLinearConv: convolution(3, (c) => c.type(7)),
  ConvTranspose: convTranspose,
  DeformConv: deformConv,
  MaxPool: pool,
  AveragePool: pool,
  LpPool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  GlobalLpPool: globalPool,
  MaxUnpool: maxUnpool,
  MaxRoiPool: maxRoiPool,
  RoiAlign: roiAlign,
  Col2Im: col2Im,
};
