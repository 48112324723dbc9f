import type { Node, Tensor } from "../../onnx/model.ts";
import type { TensorValue } from "../../onnx/tensor-value.ts";
import type { Scope } from "./scope.ts";

/** What is known of a value's type. Sizes that are not numbers are symbols or unknown (null). */
export interface Fact {
  readonly dataType: number;
  readonly dims: readonly (number | string | null)[] | null;
  /** Contents of a small integer tensor: numbers, symbols, or unknown. */
  readonly elements?: readonly (number | string | null)[];
}

/** What every pass may ask while it rewrites. */
export interface Rewriting {
  /** Version of the standard domain that the model imports. */
  readonly opset: number;
  /** A value name that is not in use anywhere in the model. */
  fresh(stem: string): string;
  /** Inferred before the passes of this round; undefined for values that are newer than that. */
  fact(scope: Scope, name: string): Fact | undefined;
  /** A constant's numbers, when there are at most `maxElements`. */
  read(tensor: Tensor, maxElements?: number): Promise<TensorValue | null>;
  /** Whether a computed value of so many bytes may stay in memory. */
  keep(bytes: number): boolean;
  /** Values whose folding was found not to pay, so that the next round does not try again. */
  readonly declined: Set<string>;
}

/** A rewrite that changes no output of the model. */
export interface Pass {
  readonly name: string;
  /** First and last opset of the standard domain whose operators it knows. */
  readonly opsets: readonly [first: number, last: number];
  /** Every node that stays computes what it did, of the same values: nothing has to be run to know that. */
  readonly exact?: true;
  /** It has nothing to do in a graph without any of these; absent: it looks at all nodes. */
  readonly operators?: readonly string[];
  /** Rewrites one graph and answers how many changes it made. Its subgraphs were rewritten before it. */
  run(scope: Scope, rewriting: Rewriting): Promise<number>;
}

/** The newest opset whose operators the passes were checked against. */
export const NEWEST_OPSET = 26;

export function isStandard(node: Node, ...opTypes: readonly string[]): boolean {
  return opTypes.includes(node.opType) && inStandardDomain(node);
}

export function inStandardDomain(node: Node): boolean {
  return node.domain === "" || node.domain === "ai.onnx";
}

/** Numbers of a small constant integer input; null when the input is not one. */
export async function constantIntegers(
  scope: Scope,
  rewriting: Rewriting,
  name: string | undefined,
): Promise<number[] | null> {
  const value = await constantValue(scope, rewriting, name);
  if (!value || typeof value.data[0] === "string") return null;
  return Array.from(value.data as ArrayLike<number | bigint>, Number);
}

/** A small constant input; null when it is not constant or not small. */
export async function constantValue(
  scope: Scope,
  rewriting: Rewriting,
  name: string | undefined,
  maxElements = 4096,
): Promise<TensorValue | null> {
  const tensor = name ? scope.constant(name) : undefined;
  return tensor ? rewriting.read(tensor, maxElements) : null;
}

/** Sizes when all of them are known numbers. */
export function staticDims(fact: Fact | undefined): readonly number[] | null {
  const dims = fact?.dims;
  return dims?.every((dim) => typeof dim === "number") ? (dims as readonly number[]) : null;
}
