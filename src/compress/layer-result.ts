import type { ChainStep } from "./forms/chain.ts";
import type { StoredWeight } from "./storage/stored-weight.ts";
import type { Treatment } from "./treatment.ts";

/** What a treatment made of one layer, ready to be put into the model. */
export interface LayerResult {
  readonly layer: string;
  readonly op: string;
  readonly treatment: Treatment;
  readonly stats: LayerStats;
  /**
   * The new weights: one with the role "weight" for the layer's own node, or one for each step of the chain; and a
   * corrected "bias".
   */
  readonly weights: readonly ResultWeight[];
  /** Axis along which several weights of the role "weight" are joined to the layer's; where there is one, none. */
  readonly joinAxis?: number;
  /** The nodes that take the place of the layer's; null where it keeps its own. */
  readonly chain: readonly ChainStep[] | null;
  /** What was done otherwise than the treatment says, and why; for the report. */
  readonly remarks: readonly string[];
}

export interface ResultWeight {
  readonly role: string;
  readonly stored: StoredWeight;
  /** Set where other layers' results hold this very weight, and the artifact stores it once. */
  readonly shared?: SharedWeight;
}

export interface SharedWeight {
  /** The same for the same weight, and for no other. */
  readonly key: string;
  readonly parameters: number;
  readonly nonzero: number;
}

/**
 * Figures of a layer before and after, counted on the tensors as they are stored; without those that layers share, which
 * settle.ts adds.
 */
export interface LayerStats {
  readonly bytes: Pair<number>;
  readonly parameters: Pair<number>;
  readonly nonzero: Pair<number>;
  readonly macs: Pair<number | null>;
  /** tr(ΔW·G·ΔWᵀ)/tr(W·G·Wᵀ), or ‖ΔW‖²/‖W‖² without samples. */
  readonly layerError: number;
  /** ‖Ŵ − W‖² / ‖W‖². */
  readonly weightError: number;
}

export interface Pair<T> {
  readonly original: T;
  readonly compressed: T;
}
