import { type Window, windowSize } from "../../onnx/shapes/window.ts";
import { elementCount } from "../../onnx/tensor-value.ts";
import type { Activation, Vectors } from "./vectors.ts";

/**
 * Patches of a feature map [batch, channels, spatial…] as a convolution sees them (im2col): a vector an output
 * position, in the order of the output, of channels/groups · kernel features, channel major. Padding counts as zeros.
 */
export function convolutionVectors(x: Activation, groups: number, window: Window): Vectors {
  const [batch = 0, channels = 0, ...size] = x.dims;
  const output = size.map((extent, axis) => Math.max(0, Number(windowSize(window, axis, extent))));
  const before = size.map((extent, axis) => padBefore(window, axis, extent, output[axis]!));
  const positions = elementCount(output);
  const area = elementCount(size);
  const taps = elementCount(window.kernel);
  const columns = channels / groups;
  const offsets = new Int32Array(taps);
  let patchAt = -1;
  return {
    matrices: groups,
    n: columns * taps,
    count: batch * positions,
    write(group, index, out, at) {
      const image = Math.floor(index / positions);
      if (index !== patchAt) patch(offsets, index % positions, window, size, output, before);
      patchAt = index;
      let from = (image * channels + group * columns) * area;
      let to = at;
      for (let c = 0; c < columns; c++) {
        for (let t = 0; t < taps; t++) {
          const offset = offsets[t]!;
          out[to++] = offset < 0 ? 0 : x.data[from + offset]!;
        }
        from += area;
      }
    },
  };
}

/** A window of one element: what a transposed convolution multiplies is the channels at each input position. */
export function pointWindow(rank: number): Window {
  const ones = Array.from({ length: rank }, () => 1);
  const zeros = ones.map(() => 0);
  return {
    kernel: ones,
    strides: ones,
    dilations: ones,
    pads: [...zeros, ...zeros],
    outputPadding: zeros,
    autoPad: "NOTSET",
    ceil: false,
  };
}

/** Leading padding along an axis; SAME pads both sides alike and the odd element at the end (UPPER) or start (LOWER). */
function padBefore(window: Window, axis: number, size: number, output: number): number {
  if (window.autoPad === "VALID") return 0;
  if (window.autoPad === "NOTSET") return window.pads[axis]!;
  const extent = (window.kernel[axis]! - 1) * window.dilations[axis]! + 1;
  const total = Math.max(0, (output - 1) * window.strides[axis]! + extent - size);
  return window.autoPad === "SAME_UPPER" ? Math.floor(total / 2) : Math.ceil(total / 2);
}

/** Offsets into a channel of the elements under the window at an output position; −1 in the padding. */
function patch(
  offsets: Int32Array,
  position: number,
  window: Window,
  size: readonly number[],
  output: readonly number[],
  before: readonly number[],
): void {
  offsets.fill(0);
  let rest = position;
  let pitch = 1;
  let inner = 1;
  for (let axis = size.length - 1; axis >= 0; axis--) {
    const kernel = window.kernel[axis]!;
    const start = (rest % output[axis]!) * window.strides[axis]! - before[axis]!;
    rest = Math.floor(rest / output[axis]!);
    for (let t = 0; t < offsets.length; t++) {
      const at = start + (Math.floor(t / inner) % kernel) * window.dilations[axis]!;
      if (at < 0 || at >= size[axis]!) offsets[t] = -1;
      else if (offsets[t]! >= 0) offsets[t]! += at * pitch;
    }
    inner *= kernel;
    pitch *= size[axis]!;
  }
}
