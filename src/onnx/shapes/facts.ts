import { DataType } from "../data-type.ts";
import type { Dim, ValueType } from "../model.ts";

/** One element of a tensor whose contents matter: its number, the symbol that it equals, or null (unknown). */
export type Element = number | string | null;

export type Dims = readonly Dim[];

export interface TensorFact {
  readonly kind: "tensor";
  /** DataType code; UNDEFINED when not known. */
  readonly dataType: number;
  /** null: not even the rank is known. */
  readonly dims: Dims | null;
  /** Row-major contents of a small tensor, where shape computations need them; only with numeric dims. */
  readonly elements?: readonly Element[];
}

export interface SequenceFact {
  readonly kind: "sequence";
  readonly element: Fact;
  readonly length: Dim;
}

export interface OptionalFact {
  readonly kind: "optional";
  readonly element: Fact;
}

/** What is known of a value. */
export type Fact = TensorFact | SequenceFact | OptionalFact;

export const UNKNOWN: TensorFact = { kind: "tensor", dataType: DataType.UNDEFINED, dims: null };

/** Largest tensor whose contents are followed: no declared size makes inference allocate more than this. */
export const MAX_ELEMENTS = 4096;

export function tensor(dataType: number, dims: Dims | null): TensorFact {
  return { kind: "tensor", dataType, dims };
}

/** True when every dimension is a number. */
export function isStatic(dims: Dims | null): dims is readonly number[] {
  return dims?.every((dim) => typeof dim === "number") ?? false;
}

/** A fact with the contents of tensors left out, as for a value that changes from one iteration to the next. */
export function withoutElements(fact: Fact): Fact {
  if (fact.kind === "tensor") return tensor(fact.dataType, fact.dims);
  return { ...fact, element: withoutElements(fact.element) };
}

/** What is true of both facts: branches of an If, iterations of a Loop. */
export function common(a: Fact, b: Fact): Fact {
  if (a.kind === "tensor" && b.kind === "tensor") {
    const dataType = a.dataType === b.dataType ? a.dataType : DataType.UNDEFINED;
    if (!a.dims || !b.dims || a.dims.length !== b.dims.length) return tensor(dataType, null);
    const other = b.dims;
    const dims = a.dims.map((dim, i) => (dim === other[i] ? dim : null));
    const elements =
      a.elements && b.elements && a.elements.length === b.elements.length
        ? a.elements.map((element, i) => (element === b.elements?.[i] ? element : null))
        : undefined;
    return elements ? { kind: "tensor", dataType, dims, elements } : tensor(dataType, dims);
  }
  if (a.kind === "sequence" && b.kind === "sequence") {
    const length = a.length === b.length ? a.length : null;
    return { kind: "sequence", element: common(a.element, b.element), length };
  }
  if (a.kind === "optional" && b.kind === "optional") {
    return { kind: "optional", element: common(a.element, b.element) };
  }
  return UNKNOWN;
}

/** The declared type of a value as a fact; `bind` turns a symbol into its size where that is known. */
export function declaredFact(type: ValueType | undefined, bind: (dim: Dim) => Dim): Fact | undefined {
  switch (type?.kind) {
    case "tensor":
    case "sparse_tensor":
      return tensor(type.dataType, type.shape?.map(bind) ?? null);
    case "sequence":
      return { kind: "sequence", element: declaredFact(type.element, bind) ?? UNKNOWN, length: null };
    case "optional":
      return { kind: "optional", element: declaredFact(type.element, bind) ?? UNKNOWN };
    default:
      return undefined;
  }
}
