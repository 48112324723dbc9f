import type { Candidate } from "../treatment.ts";

/** Those for which no other is at least as good in bytes, time and error. */
export function undominated<T extends { readonly candidate: Candidate }>(treated: readonly T[]): T[] {
  const costs = treated.map(({ candidate: { bytes, time, error } }) => [bytes, time ?? 0, error] as const);
  return treated.filter((_, i) => {
    const a = costs[i]!;
    return !costs.some(
      (b, j) =>
        j !== i && b.every((cost, k) => cost <= a[k]!) && (j < i || b.some((cost, k) => cost < a[k]!)),
    );
  });
}
