import type { Node } from "../model.ts";
import type { ShapeInfo } from "../shapes/shapes.ts";
import type { TensorValue } from "../tensor-value.ts";

/** What a rule may ask and add while it rewrites one node. */
export interface Raising {
  /** Name of a new constant of the node's graph. */
  constant(value: TensorValue): string;
  /** A new value name. */
  fresh(): string;
  /** Type and shape of one of the node's inputs, as far as they are known. */
  infoOf(name: string): ShapeInfo | undefined;
  /** Numbers of a small constant; undefined where it is none, or large. */
  elementsOf(name: string): readonly unknown[] | undefined;
  /** Ends the raising. */
  refuse(reason: string): never;
}

/** How nodes of the version before `at` are said in version `at`. */
export interface OpsetRule {
  readonly operators: readonly string[];
  readonly at: number;
  /** @returns nodes in order; the last may still have another type, and goes on to later rules */
  raise(node: Node, raising: Raising): Node | readonly Node[];
}

/** The model's operators cannot all be said in the opset that is asked for. */
export class UnraisableOpsetError extends Error {
  override readonly name = "UnraisableOpsetError";
  /** The operator that stands in the way. */
  readonly operator: string;
  constructor(operator: string, opset: number, reason: string) {
    super(
      `the operator ${operator} cannot be raised to opset ${opset}: ${reason}; export the model with a newer opset`,
    );
    this.operator = operator;
  }
}
