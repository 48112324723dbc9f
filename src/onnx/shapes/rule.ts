import {
  findAttribute,
  floatsAttribute,
  intAttribute,
  intsAttribute,
  stringAttribute,
  tensorAttribute,
} from "../edit.ts";
import type { AttributeValue, Dim, Node, Tensor } from "../model.ts";
import type { Dims, Element, Fact, TensorFact } from "./facts.ts";
import { isStatic, UNKNOWN } from "./facts.ts";

/**
 * Says what the outputs of a node are, given what is known of its inputs. An output that it leaves out, or gives
 * as undefined, is unknown. Rules never throw: what does not fit together is told through `contradiction`.
 */
export type Rule = (context: RuleContext) => readonly (Fact | undefined)[];

/** Rules of one family, by operator type. */
export type RuleTable = Readonly<Record<string, Rule>>;

/** What inference found in a subgraph. */
export interface BodyFacts {
  readonly outputs: readonly Fact[];
  /** False when something in it does not fit together for these inputs. */
  readonly consistent: boolean;
  /** Takes the warnings about it back, for a branch that is not taken with these inputs. */
  forget(): void;
}

/** Infers the subgraph in an attribute, given the facts of its inputs; null where there is none. */
export type InferBody = (name: string, inputs: readonly (Fact | undefined)[]) => BodyFacts | null;

/** A node with what is known of its inputs, as a rule sees it. */
export class RuleContext {
  readonly node: Node;
  /** Version of the node's domain. */
  readonly opset: number;
  readonly body: InferBody;
  /** Contents of a tensor attribute, where it is small and was read. */
  readonly contents: (tensor: Tensor) => readonly Element[] | undefined;
  readonly #inputs: readonly (Fact | undefined)[];
  readonly #contradiction: (detail: string, multipleOf?: number) => void;

  constructor(
    node: Node,
    opset: number,
    inputs: readonly (Fact | undefined)[],
    host: Pick<RuleContext, "body" | "contents">,
    contradiction: (detail: string, multipleOf?: number) => void,
  ) {
    this.node = node;
    this.opset = opset;
    this.body = host.body;
    this.contents = host.contents;
    this.#inputs = inputs;
    this.#contradiction = contradiction;
  }

  get inputCount(): number {
    return this.#inputs.length;
  }

  /** True when the optional input is given. */
  has(index: number): boolean {
    return (this.node.inputs[index] ?? "") !== "";
  }

  fact(index: number): Fact | undefined {
    return this.#inputs[index];
  }

  /** The input as a tensor; nothing known of it when it is absent or no tensor. */
  tensor(index: number): TensorFact {
    const fact = this.#inputs[index];
    return fact?.kind === "tensor" ? fact : UNKNOWN;
  }

  dims(index: number): Dims | null {
    return this.tensor(index).dims;
  }

  type(index: number): number {
    return this.tensor(index).dataType;
  }

  /** Contents of a small input; null when not known at all. */
  elements(index: number): readonly Element[] | null {
    return this.tensor(index).elements ?? null;
  }

  /** Contents of a small input, when every element is a known number. */
  numbers(index: number): readonly number[] | null {
    const elements = this.elements(index);
    return elements && isStatic(elements) ? elements : null;
  }

  /** Number of elements of a one-dimensional input. */
  length(index: number): Dim {
    const dims = this.dims(index);
    return dims?.length === 1 ? (dims[0] ?? null) : null;
  }

  attribute(name: string): AttributeValue | undefined {
    return findAttribute(this.node, name)?.value;
  }

  int(name: string): number | undefined;
  int(name: string, fallback: number): number;
  int(name: string, fallback?: number): number | undefined {
    return intAttribute(this.node, name, fallback);
  }

  ints(name: string): readonly number[] | undefined {
    return intsAttribute(this.node, name, undefined);
  }

  floats(name: string): readonly number[] | undefined {
    return floatsAttribute(this.node, name, undefined);
  }

  string(name: string, fallback: string): string {
    return stringAttribute(this.node, name, fallback);
  }

  tensorAttribute(name: string): Tensor | undefined {
    return tensorAttribute(this.node, name);
  }

  /**
   * Integers that newer opsets take as an input and older ones as an attribute (axes, pads, repeats, …).
   * undefined: not given; null: given, but not known.
   */
  integers(name: string, index: number): readonly Element[] | null | undefined {
    return this.has(index) ? this.elements(index) : this.ints(name);
  }

  /**
   * Reports that the inputs or the declared sizes do not fit together; `multipleOf`: they would if the first
   * input had a multiple of so many elements.
   */
  contradiction(detail: string, multipleOf?: number): void {
    this.#contradiction(detail, multipleOf);
  }
}
