import { bitsOf, smallest } from "../../kernels/reference/select.ts";
import type { PruningPattern } from "./request.ts";

/** A matrix of scores; groups and blocks do not straddle a multiple of `segment` columns. */
export interface PatternShape {
  readonly rows: number;
  readonly columns: number;
  readonly segment: number;
}

/**
 * Marks with 1 what a pattern makes zero: the entries, groups' entries or blocks of smallest |score|; of equal ones
 * those of lower index first. `scope` is what unstructured entries and blocks compete in: all of the matrix, or each
 * row alone (Wanda), with equal shares.
 *
 * @param scores rows × columns; 0 for what is zero already
 */
export function markZeros(
  scores: Float32Array,
  shape: PatternShape,
  pattern: PruningPattern,
  scope: "matrix" | "row" = "matrix",
): Uint8Array {
  switch (pattern.kind) {
    case "unstructured": {
      const zeros = Math.min(pattern.zeros ?? 0, scores.length);
      return scope === "row" ? markRows(scores, shape.rows, shape.columns, zeros) : smallest(scores, zeros);
    }
    case "n:m":
      return markGroups(scores, shape, pattern.keep, pattern.of);
    case "block":
      return markBlocks(scores, shape, pattern.width, pattern.ratio, scope);
  }
}

/**
 * Exactly `zeros` marks, equally many in each row, but for rows that have more zeros already; what is left over goes one
 * a row to the smallest next scores.
 */
function markRows(scores: Float32Array, rows: number, columns: number, zeros: number): Uint8Array {
  const row = (r: number) => scores.subarray(r * columns, (r + 1) * columns);
  const present = Array.from({ length: rows }, (_, r) =>
    row(r).reduce((count, score) => count + (score === 0 ? 1 : 0), 0),
  );
  const total = (quota: number) => present.reduce((sum, count) => sum + Math.max(quota, count), 0);
  if (total(0) > zeros) return smallest(scores, zeros);
  let quota = 0;
  let above = columns + 1;
  while (above - quota > 1) {
    const middle = (quota + above) >> 1;
    if (total(middle) <= zeros) quota = middle;
    else above = middle;
  }
  const next = present
    .map((count, r) => ({ r, count }))
    .filter(({ count }) => count <= quota && quota < columns)
    .map(({ r }) => ({ r, score: row(r).map(Math.abs).sort()[quota]! }))
    .sort((a, b) => a.score - b.score || a.r - b.r)
    .slice(0, zeros - total(quota));
  const oneMore = new Set(next.map(({ r }) => r));
  const marks = new Uint8Array(scores.length);
  present.forEach((count, r) => {
    marks.set(smallest(row(r), Math.max(quota, count) + (oneMore.has(r) ? 1 : 0)), r * columns);
  });
  return marks;
}

function markGroups(scores: Float32Array, shape: PatternShape, keep: number, of: number): Uint8Array {
  const marks = new Uint8Array(scores.length);
  const sizes = scores.map((score) => (Number.isNaN(score) ? Number.POSITIVE_INFINITY : Math.abs(score)));
  for (const { start, width } of spans(shape, of)) {
    for (let r = 0; r < shape.rows; r++) {
      const at = r * shape.columns + start;
      for (let zeros = keep; zeros < width; zeros++) {
        let least = -1;
        for (let i = at; i < at + width; i++) {
          if (marks[i] === 0 && (least < 0 || sizes[i]! < sizes[least]!)) least = i;
        }
        marks[least] = 1;
      }
    }
  }
  return marks;
}

/** Blocks compete by their root mean square. */
function markBlocks(
  scores: Float32Array,
  shape: PatternShape,
  width: number,
  ratio: number,
  scope: "matrix" | "row",
): Uint8Array {
  const { rows, columns } = shape;
  const blocks = spans(shape, width);
  const sizes = new Float32Array(rows * blocks.length);
  for (let r = 0; r < rows; r++) {
    blocks.forEach(({ start, width }, b) => {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += scores[r * columns + start + i]! ** 2;
      sizes[r * blocks.length + b] = Math.sqrt(sum / width);
    });
  }
  const zeros = Math.round(ratio * sizes.length);
  const chosen = scope === "row" ? markRows(sizes, rows, blocks.length, zeros) : smallest(sizes, zeros);
  const marks = new Uint8Array(scores.length);
  for (let r = 0; r < rows; r++) {
    blocks.forEach(({ start, width }, b) => {
      const at = r * columns + start;
      if (chosen[r * blocks.length + b] === 1) marks.fill(1, at, at + width);
    });
  }
  return marks;
}

/** Runs of `width` columns, shorter at the end of a segment. */
function spans({ columns, segment }: PatternShape, width: number): { start: number; width: number }[] {
  const found = [];
  for (let from = 0; from < columns; from += segment) {
    const to = Math.min(columns, from + segment);
    for (let start = from; start < to; start += width) {
      found.push({ start, width: Math.min(width, to - start) });
    }
  }
  return found;
}

/** W with zeros where marks are 1. */
export function masked(w: Float32Array, marks: Uint8Array): Float32Array {
  const rest = new Float32Array(w.length);
  const [from, to] = [bitsOf(w), bitsOf(rest)];
  // Where the mark is 1 no bit is kept, where it is 0 all are: a branch would be guessed wrong half of the time.
  for (let i = 0; i < to.length; i++) to[i] = from[i]! & (marks[i]! - 1);
  return rest;
}
