import type { Recipe } from "../../../schemas/recipe.ts";
import type { Objective } from "./decide.ts";
import type { Limits } from "./search.ts";

/** Least R² and least top-1 agreement where the recipe says nothing. */
const GUARD = { minR2: 0.99, minTop1: 0.99 };

/**
 * Limits of a recipe's target. The fidelity guard holds where it is asked for (`min_fidelity`) and where nothing else
 * is: a caller who asks for a size, for MACs or for latency alone gets that, at the best fidelity found, which
 * the report then states.
 *
 * @param upload the uploaded file: bytes, and MACs where they can be counted
 */
export function limitsOf(target: Recipe["target"], upload: { bytes: number; macs: number | null }): Limits {
  const sizes = [
    target?.max_bytes,
    target?.size_ratio === undefined ? undefined : target.size_ratio * upload.bytes,
  ];
  const bytes = sizes.filter((size) => size !== undefined);
  const limits: Limits = {
    maxBytes: bytes.length > 0 ? Math.min(...bytes) : undefined,
    // Without a count any limit is missed, and the error says why.
    maxMacs: target?.macs_ratio === undefined ? undefined : target.macs_ratio * (upload.macs ?? 0),
    maxLatencyRatio: target?.latency_ratio,
  };
  const sized = bytes.length > 0 || target?.macs_ratio !== undefined || target?.latency_ratio !== undefined;
  if (target?.min_fidelity !== undefined) {
    // Beside another limit a reserve would only refuse what keeps both.
    return { ...limits, minR2: sized ? target.min_fidelity : withReserve(target.min_fidelity) };
  }
  return sized ? limits : { ...limits, ...GUARD, minR2: withReserve(GUARD.minR2) };
}

/** A share of the time saved is worth this share of the file where a recipe asks for neither: the file comes first. */
export const TIME_FOR_BYTES = 0.1;

/** Share of the allowed loss that is kept in reserve: inputs that the search has not seen lose more. */
const RESERVE = 0.5;

function withReserve(r2: number): number {
  return 1 - (1 - RESERVE) * (1 - r2);
}

/**
 * What a choice should save under a target: what the target names; size first and time second where it names
 * nothing but fidelity.
 */
export function objectiveOf(target: Recipe["target"]): Objective {
  const bytes = target?.size_ratio !== undefined || target?.max_bytes !== undefined;
  const macs = target?.macs_ratio !== undefined;
  const time = target?.latency_ratio !== undefined;
  if (!bytes && !macs && !time) return { bytes: 1, macs: 0, time: TIME_FOR_BYTES };
  return { bytes: bytes ? 1 : 0, macs: macs ? 1 : 0, time: time ? 1 : 0 };
}
