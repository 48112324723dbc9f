import { type Kernels, NotPositiveDefiniteError } from "../../kernels/kernels.ts";
import type { InputMoments } from "../input-moments.ts";

/**
 * What a change ΔW of a matrix costs: tr(ΔW·H·ΔWᵀ). H is G with damping on its diagonal. Made once for all requests on
 * a layer.
 */
export interface Objective {
  readonly n: number;
  /** n × n; null where only the diagonal is known. */
  readonly h: Float32Array | null;
  /** Of H; positive. */
  readonly diagonal: Float32Array;
  /** Columns in falling order of the diagonal: GPTQ's act-order. */
  readonly order: Uint32Array;
  /** U of H⁻¹ = Uᵀ·U for rows and columns in that order. */
  readonly factor: Float32Array | null;
}

/** Share of the mean diagonal of G that is added to H's, as in GPTQ. */
const DAMPING = 0.01;

/** @param moments null where nothing was seen: H is the identity */
export function objectiveOf(n: number, moments: InputMoments | null, kernels: Kernels): Objective {
  const level = moments ? moments.diagonal.reduce((sum, one) => sum + one, 0) / Math.max(1, n) : 0;
  const diagonal = new Float32Array(n).fill(1);
  if (moments && level > 0) {
    for (let i = 0; i < n; i++) diagonal[i] = Math.max(0, moments.diagonal[i]!) + DAMPING * level;
  }
  const order = Uint32Array.from(diagonal, (_, i) => i).sort((a, b) => diagonal[b]! - diagonal[a]! || a - b);
  const gram = moments?.gram ?? null;
  if (gram === null || !(level > 0)) return { n, h: null, diagonal, order, factor: null };
  const h = gram.slice();
  for (let i = 0; i < n; i++) h[i * n + i] = diagonal[i]!;
  return { n, h, diagonal, order, factor: factorOf(h, order, level, n, kernels) };
}

/** More damping, for the factor alone, where float32 sums left H indefinite. */
function factorOf(
  h: Float32Array,
  order: Uint32Array,
  level: number,
  n: number,
  kernels: Kernels,
): Float32Array {
  const ordered = new Float32Array(n * n);
  for (let more = 0; ; more = Math.max(DAMPING, 10 * more)) {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) ordered[i * n + j] = h[order[i]! * n + order[j]!]!;
      ordered[i * n + i]! += more * level;
    }
    try {
      return kernels.inverseFactor(ordered, n);
    } catch (error) {
      if (!(error instanceof NotPositiveDefiniteError) || more > 1e6) throw error;
    }
  }
}
