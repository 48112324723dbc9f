import type { Node } from "../model.ts";
import type { TensorValue } from "../tensor-value.ts";
import { Call, type Evaluators } from "./call.ts";
import { castOperators } from "./cast.ts";
import { constantOperators } from "./constants.ts";
import { elementwiseOperators, unaryOperators } from "./elementwise.ts";
import { generateOperators } from "./generate.ts";
import { indexingOperators } from "./indexing.ts";
import { linearOperators } from "./linear.ts";
import { reduceOperators } from "./reduce.ts";
import { scatterOperators } from "./scatter.ts";
import { shapeOperators } from "./shape.ts";
import { NotEvaluable } from "./values.ts";

const FAMILIES: readonly Evaluators[] = [
  constantOperators,
  shapeOperators,
  indexingOperators,
  scatterOperators,
  castOperators,
  elementwiseOperators,
  unaryOperators,
  reduceOperators,
  generateOperators,
  linearOperators,
];

const OPERATORS: ReadonlyMap<string, Evaluators[string]> = table();

function table(): Map<string, Evaluators[string]> {
  const operators = new Map<string, Evaluators[string]>();
  for (const [name, evaluator] of FAMILIES.flatMap((family) => Object.entries(family))) {
    if (operators.has(name)) throw new Error(`two evaluators for ${name}`);
    operators.set(name, evaluator);
  }
  return operators;
}

/** Operators of the standard domain that {@link evaluateNode} knows. */
export function evaluableOperators(): string[] {
  return [...OPERATORS.keys()];
}

/**
 * The outputs of a node whose inputs are known, as ONNX Runtime would compute them: one value for each of the
 * node's outputs. `undefined` inputs are left out or not known; an operator that needs one of these is not
 * evaluated, but one that does not look at it (a Shape, say, needs the dims only) may be.
 *
 * Tensors in attributes have to be raw bytes in memory (withTensorsAtHand sees to that).
 *
 * @param opset version of the standard domain that the model imports, 7 or later.
 * @returns null when the operator is unknown, random or stateful, its form is not supported, its inputs are
 *   invalid, or its output would be larger than {@link MAX_OUTPUT_BYTES}.
 */
export function evaluateNode(
  node: Node,
  inputs: readonly (TensorValue | undefined)[],
  opset: number,
): TensorValue[] | null {
  if ((node.domain !== "" && node.domain !== "ai.onnx") || opset < 7) return null;
  const evaluator = OPERATORS.get(node.opType);
  if (!evaluator) return null;
  try {
    return evaluator(new Call(node, inputs, opset));
  } catch (error) {
    if (error instanceof NotEvaluable) return null;
    throw error;
  }
}
