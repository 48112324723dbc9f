import type { PlanVerification } from "../../../schemas/plan.ts";

/**
 * What errors say. An output or a boundary behind an operator that jumps counts where it agrees, and says nothing where
 * it does not.
 *
 * @param jumps such operators by value
 */
export function verdict(
  facts: PlanVerification,
  boundaries: ReadonlyMap<string, number>,
  outputs: ReadonlyMap<string, number>,
  jumps: ReadonlyMap<string, readonly string[]>,
): PlanVerification {
  const all = [...boundaries, ...outputs];
  const counted = all.filter(([name, error]) => error <= facts.tolerance || !jumps.has(name));
  const worst = counted.reduce<[string, number] | null>((a, b) => (a && a[1] >= b[1] ? a : b), null);
  const status = worst === null ? "inconclusive" : worst[1] <= facts.tolerance ? "passed" : "failed";
  return {
    ...facts,
    status,
    ...(status === "failed" && worst ? { reason: `"${worst[0]}" is not what the whole model computes` } : {}),
    boundaries: boundaries.size,
    worst: worst && { value: worst[0], relative_error: finite(worst[1]) },
    outputs: [...outputs].map(([output, error]) => {
      const operators = error > facts.tolerance ? jumps.get(output) : undefined;
      return {
        output,
        relative_error: finite(error),
        ...(operators ? { inconclusive: `${operators.join(", ")} turn over on rounding` } : {}),
      };
    }),
  };
}

function finite(error: number): number | null {
  return Number.isFinite(error) ? error : null;
}
