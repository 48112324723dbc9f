import type { FloatArray } from "../kernels/reference/matmul.ts";
import { costOf, type LayerCost, NODE_BYTES } from "./layer-cost.ts";
import type { LayerFacts } from "./layer-facts.ts";
import type { LayerResult } from "./layer-result.ts";
import type { Candidate, Treatment } from "./treatment.ts";
import { countNonzero, type LayerWeight, relativeError } from "./weight.ts";

/** What came of a treatment: the result that is kept, what it is chosen by, and what it computes. */
export interface TreatedLayer {
  readonly result: LayerResult;
  readonly candidate: Candidate;
  /** The dense weight that computes what the treated layer computes, in the shape of the original. */
  readonly effective: FloatArray;
  /** The bias that goes with it; null where it stays. */
  readonly bias: Float32Array | null;
}

export interface Changed extends Pick<TreatedLayer, "effective" | "bias"> {
  readonly made: Pick<LayerResult, "treatment" | "weights" | "chain" | "remarks">;
  /** Of the layer alone, without what it shares with others. */
  readonly parameters: number;
  readonly nonzero: number;
  readonly cost: LayerCost;
  readonly shared: Candidate["shared"];
  /** Layer error under the moments that were seen, and under those that other samples are expected to have. */
  readonly layerError: number;
  readonly expectedError: number;
}

/** @param nonzero stored numbers other than zero, where there is no weight to count */
export function untouchedLayer(
  facts: LayerFacts,
  weight: LayerWeight | null,
  nonzero: number | null,
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
        nonzero: same(nonzero ?? (weight ? countNonzero(weight.values) : parameters)),
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

export function changedLayer(facts: LayerFacts, { values }: LayerWeight, changed: Changed): TreatedLayer {
  const { made, effective, bias, cost, shared } = changed;
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
        parameters: { original: values.length, compressed: changed.parameters },
        nonzero: { original: countNonzero(values), compressed: changed.nonzero },
        macs: { original: facts.macs, compressed: cost.macs },
        layerError: changed.layerError,
        weightError: relativeError(values, effective),
      },
    },
    candidate: {
      treatment: made.treatment,
      bytes: bytes + (shared ? shared.bytes / shared.sharers : 0),
      ...(shared && { shared }),
      ...cost,
      error: changed.expectedError,
    },
    effective,
    bias,
  };
}
