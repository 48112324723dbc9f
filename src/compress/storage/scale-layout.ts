import { elementCount } from "../../onnx/tensor-value.ts";
import { type Factor, multiply } from "./coded.ts";

/**
 * How DequantizeLinear can say the scales of a weight: one for each index of an axis (opset 13), or one for each block
 * of an axis and each index of all others (opset 21).
 */
export interface ScaleLayout {
  readonly axis: number;
  readonly blockSize: number | null;
  /** Shape of the scales. */
  readonly dims: readonly number[];
  /** First opset with it. */
  readonly opset: number;
}

const AXIS_OPSET = 13;
const BLOCKED_OPSET = 21;

/** A run of indices of one axis of the weight and of one axis of the view that the scales broadcast in. */
interface Piece {
  readonly size: number;
  readonly axis: number;
  readonly varies: boolean;
}

/**
 * Every layout that says these scales, by rising number of scales; none where blocks of the view and axes of the
 * weight cross. A scale that several places share may be repeated: a block is of one axis only.
 *
 * @param dims of the weight
 * @param view other dims of as many elements, in which the scales broadcast
 * @param scale dims of the scales: each the view's or 1
 */
export function scaleLayouts(
  dims: readonly number[],
  view: readonly number[],
  scale: readonly number[],
): ScaleLayout[] {
  const pieces = piecesOf(dims, view, scale);
  if (pieces === null) return [];
  const along = new Set(pieces.filter(({ varies }) => varies).map(({ axis }) => axis));
  const layouts: ScaleLayout[] = [];
  if (along.size <= 1) {
    const [axis = 0] = along;
    layouts.push({ axis, blockSize: null, dims: [dims[axis]!], opset: AXIS_OPSET });
  }
  for (const [axis, size] of dims.entries()) {
    const block = blockOf(pieces, axis);
    if (block === 1) continue;
    const blocks = dims.map((dim, i) => (i === axis ? size / block : dim));
    layouts.push({ axis, blockSize: block, dims: blocks, opset: BLOCKED_OPSET });
  }
  return layouts.sort((a, b) => elementCount(a.dims) - elementCount(b.dims) || a.opset - b.opset);
}

/** The scales in the order of the layout. */
export function scalesIn(
  { axis, blockSize }: ScaleLayout,
  dims: readonly number[],
  view: readonly number[],
  scale: Pick<Factor, "dims" | "values">,
): Float32Array {
  const pieces = piecesOf(dims, view, scale.dims)!;
  const last = lastVarying(pieces, axis);
  const kept = pieces.map((piece, i) =>
    piece.axis === axis ? blockSize === null || i <= last : blockSize !== null,
  );
  const shape = pieces.map(({ size }, i) => (kept[i] ? size : 1));
  const values = new Float32Array(elementCount(shape)).fill(1);
  multiply(values, shape, {
    dims: pieces.map(({ size, varies }) => (varies ? size : 1)),
    values: scale.values,
  });
  return values;
}

/** Indices at the end of the axis over which no scale changes. */
function blockOf(pieces: readonly Piece[], axis: number): number {
  const last = lastVarying(pieces, axis);
  return elementCount(pieces.filter((piece, i) => piece.axis === axis && i > last).map(({ size }) => size));
}

function lastVarying(pieces: readonly Piece[], axis: number): number {
  return pieces.findLastIndex((piece) => piece.axis === axis && piece.varies);
}

/** Weight and view cut wherever either is; null where a piece would have no whole size. */
function piecesOf(
  dims: readonly number[],
  view: readonly number[],
  scale: readonly number[],
): Piece[] | null {
  const pieces: Piece[] = [];
  let [axis, seen] = [0, 0];
  let [left, right] = [dims[0] ?? 1, view[0] ?? 1];
  while (axis < dims.length && seen < view.length) {
    const size = Math.min(left, right);
    if (size === 0 || Math.max(left, right) % size !== 0) return null;
    pieces.push({ size, axis, varies: size > 1 && scale[seen] !== 1 });
    left /= size;
    right /= size;
    if (left === 1) left = dims[++axis] ?? 1;
    else if (right === 1) right = view[++seen] ?? 1;
  }
  return pieces;
}
