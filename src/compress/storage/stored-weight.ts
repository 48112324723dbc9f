import type { SparseTensor, Tensor } from "../../onnx/model.ts";
import type { Digits } from "./digits.ts";

/**
 * A weight as the file has it: a few tensors without names, and how standard nodes make the weight of them. ONNX
 * Runtime folds these nodes when it loads the model, so that a run costs what it costs with the plain weight.
 */
export interface StoredWeight {
  readonly parts: readonly StoredPart[];
  readonly decode: Decode;
  /** Opset of the standard domain that the nodes need. */
  readonly minOpset: number;
  readonly minIrVersion: number;
  /** In the file: payloads, nodes and constants; an estimate within some bytes a part. */
  readonly bytes: number;
}

export interface StoredPart {
  readonly role: PartRole;
  readonly tensor: Tensor | SparseTensor;
}

export type PartRole = "elements" | "levels" | "positions" | `factor${number}`;

/** How the parts become the weight. JSON. */
export interface Decode {
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly elements: Elements;
  readonly placement: Placement;
  /** Dims in which the factors apply. */
  readonly view: readonly number[];
  readonly factors: readonly { readonly dims: readonly number[]; readonly half: boolean }[];
}

/** How the part "elements" becomes numbers. */
export type Elements =
  /** They are numbers of this type: of the weight's, or float16 that is cast. */
  | { readonly kind: "numbers"; readonly dataType: number }
  /** int8 or int4 that is cast. */
  | { readonly kind: "integers"; readonly dataType: number }
  /** Indices into the part "levels", which is float or float16. */
  | { readonly kind: "digits"; readonly digits: Digits; readonly halfLevels: boolean };

/** Where the elements go. */
export type Placement =
  /** There is one for each place. */
  | { readonly kind: "dense" }
  /** The elements are a sparse initializer. */
  | { readonly kind: "sparse" }
  /** The part "positions" has a bit for each place; an additional first element is zero and goes to the others. */
  | { readonly kind: "mask"; readonly digits: Digits }
  /** The part "positions" has the distance of each element from the one before. */
  | { readonly kind: "gaps"; readonly digits: Digits }
  /** A DequantizeLinear node instead of foldable ones: slower in ONNX Runtime, smaller in memory. */
  | { readonly kind: "dequantize"; readonly axis: number; readonly blockSize: number | null };
