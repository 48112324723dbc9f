import type { AttributeValue, Node } from "../model.ts";
import type { TensorValue } from "../tensor-value.ts";
import { tensorAtHand } from "./at-hand.ts";
import { need } from "./values.ts";

/** One node with the values of its inputs, and the way to its attributes. */
export class Call {
  readonly node: Node;
  readonly opset: number;
  private readonly inputs: readonly (TensorValue | undefined)[];

  constructor(node: Node, inputs: readonly (TensorValue | undefined)[], opset: number) {
    this.node = node;
    this.inputs = inputs;
    this.opset = opset;
  }

  /** An input that must be there. @throws NotEvaluable when it is not. */
  input(index: number): TensorValue {
    const value = this.inputs[index];
    need(value !== undefined, `input ${index} is not constant`);
    return value;
  }

  /** An input that may be left out. @throws NotEvaluable when it is given but its value is not known. */
  optional(index: number): TensorValue | undefined {
    if (!this.node.inputs[index]) return undefined;
    return this.input(index);
  }

  all(): TensorValue[] {
    return this.node.inputs.map((_, index) => this.input(index));
  }

  /** An attribute's value of the given type, or undefined. @throws NotEvaluable when it has another type. */
  attribute<T extends AttributeValue["type"]>(name: string, type: T): ValueOf<T> | undefined {
    const found = this.node.attributes.find((attribute) => attribute.name === name);
    if (!found) return undefined;
    need(found.value.type === type && "value" in found.value, `attribute ${name}`);
    return found.value.value as ValueOf<T>;
  }

  int(name: string, otherwise: number): number {
    return this.attribute(name, "int") ?? otherwise;
  }

  float(name: string, otherwise: number): number {
    return this.attribute(name, "float") ?? otherwise;
  }

  ints(name: string): readonly number[] | undefined {
    return this.attribute(name, "ints");
  }

  string(name: string, otherwise: string): string {
    return this.attribute(name, "string") ?? otherwise;
  }

  /** A tensor attribute whose bytes are at hand. @throws NotEvaluable when they are not. */
  tensor(name: string): TensorValue | undefined {
    const tensor = this.attribute(name, "tensor");
    return tensor && tensorAtHand(tensor);
  }
}

type ValueOf<T> = Extract<AttributeValue, { type: T }> extends { value: infer V } ? V : never;

/** The outputs of a node. @throws NotEvaluable */
export type Evaluator = (call: Call) => TensorValue[];

/** Evaluators by operator of the standard domain. */
export type Evaluators = Readonly<Record<string, Evaluator>>;
