import { intAttribute, intsAttribute, stringAttribute } from "../edit.ts";
import type { Dim, Node } from "../model.ts";

/** Geometry of a convolution or pooling window, one entry a spatial axis. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** [begin…, end…], as given; zeros where auto_pad decides. */
  readonly pads: readonly number[];
  readonly outputPadding: readonly number[];
  readonly autoPad: "NOTSET" | "SAME_UPPER" | "SAME_LOWER" | "VALID";
  readonly ceil: boolean;
}

/** Reads a node's window attributes; `kernel` comes from the weight where the attribute is left out. */
export function windowOf(node: Node, kernel: readonly number[]): Window {
  const rank = kernel.length;
  const list = (name: string, length: number, fallback: number) => {
    const given = intsAttribute(node, name, [] as number[]);
    return Array.from({ length }, (_, i) => given[i] ?? fallback);
  };
  const mode = stringAttribute(node, "auto_pad", "NOTSET");
  const autoPad = mode === "SAME_UPPER" || mode === "SAME_LOWER" || mode === "VALID" ? mode : "NOTSET";
  return {
    kernel,
    strides: list("strides", rank, 1),
    dilations: list("dilations", rank, 1),
    pads: list("pads", 2 * rank, 0),
    outputPadding: list("output_padding", rank, 0),
    autoPad,
    ceil: intAttribute(node, "ceil_mode", 0) === 1,
  };
}

/** Positions that the window takes along one axis; negative when it does not fit. */
export function windowSize(window: Window, axis: number, size: Dim): Dim {
  const { stride, extent, before, after } = along(window, axis);
  if (stride <= 0) return null;
  const same = window.autoPad === "SAME_UPPER" || window.autoPad === "SAME_LOWER";
  if (typeof size !== "number") {
    const keeps = same || before + after === extent - 1;
    return stride === 1 && keeps ? size : null;
  }
  if (same) return Math.ceil(size / stride);
  const steps = (size + before + after - extent) / stride;
  if (!window.ceil || window.autoPad === "VALID") return Math.floor(steps) + 1;
  // The last window has to begin inside the input or its leading padding.
  const count = Math.ceil(steps) + 1;
  return (count - 1) * stride >= size + before ? count - 1 : count;
}

/** Size of a transposed convolution's output along one axis. */
export function transposedSize(window: Window, axis: number, size: Dim): Dim {
  const { stride, extent, before, after } = along(window, axis);
  const extra = window.outputPadding[axis] ?? 0;
  const same = window.autoPad === "SAME_UPPER" || window.autoPad === "SAME_LOWER";
  if (typeof size !== "number") {
    return stride === 1 && (same || before + after === extent - 1) && extra === 0 ? size : null;
  }
  if (same) return size * stride;
  return stride * (size - 1) + extra + extent - before - after;
}

function along(window: Window, axis: number) {
  const rank = window.kernel.length;
  const padded = window.autoPad === "NOTSET";
  return {
    stride: window.strides[axis] ?? 1,
    extent: ((window.kernel[axis] ?? 1) - 1) * (window.dilations[axis] ?? 1) + 1,
    before: padded ? (window.pads[axis] ?? 0) : 0,
    after: padded ? (window.pads[axis + rank] ?? 0) : 0,
  };
}
