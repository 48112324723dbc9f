import type { Feeds } from "../runtime/runtime.ts";
import { largestOfRows, looksLikeScores } from "./scores.ts";

/** Right answers among labelled rows. */
export interface Tally {
  readonly right: number;
  readonly rows: number;
}

/**
 * Top-1 against labels: of the first output that looks like class scores, with one row a label and a column for each.
 * @returns null where no output does.
 */
export function countRight(outputs: Feeds, labels: readonly number[]): Tally | null {
  const scores = Object.values(outputs).find(
    (output) =>
      looksLikeScores(output) &&
      output.data.length / output.dims.at(-1)! === labels.length &&
      labels.every((label) => label < output.dims.at(-1)!),
  );
  if (scores === undefined) return null;
  const found = largestOfRows(scores);
  return { right: labels.filter((label, row) => found[row] === label).length, rows: labels.length };
}

/** The share of right answers over several feeds; null where any could not be counted. */
export function accuracyOf(tallies: readonly (Tally | null)[]): number | null {
  let right = 0;
  let rows = 0;
  for (const tally of tallies) {
    if (tally === null) return null;
    right += tally.right;
    rows += tally.rows;
  }
  return rows === 0 ? null : right / rows;
}
