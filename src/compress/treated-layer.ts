import type { FloatArray } from "../kernels/reference/matmul.ts";
import { costOf, type LayerCost, NODE_BYTES } from "./layer-cost.ts";
import type { LayerFacts } from "./layer-facts.ts";
import { fromMatrices } from "./layer-matrix.ts";
import type { LayerResult, Pair } from "./layer-result.ts";
import type { Candidate, Treatment } from "./treatment.ts";
import type { LayerWeight } from "./weight.ts";

/** What came of a treatment: the result that is kept, what it is chosen by, and what it computes. */
export interface TreatedLayer {
  readonly result: LayerResult;
  readonly candidate: Candidate;
  /** The dense weight that computes what the treated layer computes, in the shape of the original. */
  readonly effective: FloatArray;
  /** The bias that goes with it; null where it stays. */
  readonly bias: Float32Array | null;
}

export interface Changed extends Pick<TreatedLayer, "bias"> {
  readonly made: Pick<LayerResult, "treatment" | "weights" | "chain" | "remarks">;
  /** Of the layer alone, without what it shares with others. */
  readonly parameters: Pair<number>;
  readonly nonzero: Pair<number>;
  readonly cost: LayerCost;
  readonly shared: Candidate["shared"];
  /** Layer error under the moments that were seen, and under those that other samples are expected to have. */
  readonly layerError: number;
  readonly expectedError: number;
  readonly weightError: number;
  /** What the treated layer computes, count × rows × columns. */
  readonly matrices: Float32Array;
}

/** @param nonzero stored numbers other than zero */
export function untouchedLayer(
  facts: LayerFacts,
  weight: LayerWeight | null,
  nonzero: number,
  treatment: Treatment,
): TreatedLayer {
  const parameters = facts.dims.reduce((product, dim) => product * dim, 1);
  const same = <T>(figure: T) => ({ original: figure, compressed: figure });
  const { time } = costOf(facts, { kind: "dense" });
  return {
    result: {
      layer: facts.name,
      op: facts.op,
      treatment,
      stats: {
        bytes: same(facts.bytes),
        parameters: same(parameters),
        nonzero: same(nonzero),
        macs: same(facts.macs),
        layerError: 0,
        weightError: 0,
      },
      weights: [],
      chain: null,
      remarks: [],
    },
    candidate: { treatment, bytes: facts.bytes, macs: facts.macs, time, error: 0 },
    effective: weight?.values ?? new Float32Array(0),
    bias: null,
  };
}

export function changedLayer(facts: LayerFacts, changed: Changed): TreatedLayer {
  const { made, matrices, bias, cost, shared } = changed;
  const own = made.weights.filter((one) => one.role !== "bias" && !one.shared);
  const steps = made.chain?.length ?? 1;
  const bytes = own.reduce((sum, one) => sum + one.stored.bytes, 0) + NODE_BYTES * (steps - 1);
  return {
    result: {
      layer: facts.name,
      op: facts.op,
      ...made,
      stats: {
        bytes: { original: facts.bytes, compressed: bytes },
        parameters: changed.parameters,
        nonzero: changed.nonzero,
        macs: { original: facts.macs, compressed: cost.macs },
        layerError: changed.layerError,
        weightError: changed.weightError,
      },
    },
    candidate: {
      treatment: made.treatment,
      bytes: bytes + (shared ? shared.bytes / shared.sharers : 0),
      ...(shared && { shared }),
      ...cost,
      error: changed.expectedError,
    },
    // Few treatments are tried, and a copy in another order is as large as the weight.
    get effective() {
      return fromMatrices(facts.layout!, matrices);
    },
    bias,
  };
}
