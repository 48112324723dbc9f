import type { FormTarget } from "./forms/form.ts";
import type { MatrixLayout } from "./layer-matrix.ts";

/** What the methods need to know of a layer besides its weight's numbers. JSON. */
export interface LayerFacts {
  readonly name: string;
  readonly op: string;
  /** Shape of the stored weight. */
  readonly dims: readonly number[];
  readonly dataType: number;
  /** Bytes the weight takes in the file now. */
  readonly bytes: number;
  readonly macs: number | null;
  /** What a chain of nodes in its place has to know of it; null for a table that is looked up. */
  readonly target: FormTarget | null;
  /** The weight as matrices; null where it cannot be seen so. */
  readonly layout: MatrixLayout | null;
  /** Why the weight cannot be touched at all ("its weight is an output of the model"); null where it can. */
  readonly fixed: string | null;
  /** Why no other nodes may take the place of the layer's ("other nodes use its weight"); null where they may. */
  readonly rigid: string | null;
  /** Elements of the bias that belongs to this layer alone and may be corrected; null where there is none. */
  readonly bias: number | null;
}
