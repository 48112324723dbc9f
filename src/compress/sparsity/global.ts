import type { FloatArray } from "../../kernels/reference/matmul.ts";
import { bitsOf, countUpTo, thresholdOver } from "../../kernels/reference/select.ts";

/** A weight that shares in the model's one threshold, or a piece of one. */
export interface GlobalWeight {
  readonly layer: string;
  readonly count: number;
  readonly load: () => Promise<FloatArray>;
}

/**
 * Zeros of each layer when the `ratio` smallest weights of all layers together go: one threshold on plain magnitudes,
 * exact, ties by the order of the layers and of their pieces. Reads each weight three times, one at a time.
 */
export async function globalZeros(
  weights: readonly GlobalWeight[],
  ratio: number,
): Promise<Map<string, number>> {
  const total = weights.reduce((sum, weight) => sum + weight.count, 0);
  const limit = await thresholdOver(weights.length, (i) => weights[i]!.load(), Math.round(ratio * total));
  let ties = limit.ties;
  const zeros = new Map<string, number>();
  for (const weight of weights) {
    const { below, equal } = countUpTo(bitsOf(await weight.load()), limit);
    const taken = Math.min(ties, equal);
    ties -= taken;
    zeros.set(weight.layer, (zeros.get(weight.layer) ?? 0) + below + taken);
  }
  return zeros;
}
