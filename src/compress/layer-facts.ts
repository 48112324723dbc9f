import type { ConvolutionWork } from "./kernel-sharing/cost.ts";

/** What the methods need to know of a layer besides its weight's numbers. */
export interface LayerFacts {
  readonly name: string;
  readonly op: string;
  /** Shape of the stored weight. */
  readonly dims: readonly number[];
  readonly dataType: number;
  /** Bytes the weight takes in the file now. */
  readonly bytes: number;
  readonly macs: number | null;
  /** Axis of the weight along which the layer sums: N:M patterns run along it. */
  readonly inputAxis: number;
  /** Why the weight cannot be touched at all ("its weight is an output of the model"); null where it can. */
  readonly fixed: string | null;
  /** The convolution that kernel sharing may split in two, or why there is none. */
  readonly sharing: SharingFacts | { readonly reason: string };
}

export interface SharingFacts {
  readonly reason: null;
  readonly work: ConvolutionWork;
  /** Output positions are known; otherwise `work` counts a nominal map and MACs are not claimed. */
  readonly known: boolean;
  /** Strides are all 1, so that the coefficients may run first at no extra cost. */
  readonly unitStrides: boolean;
}
