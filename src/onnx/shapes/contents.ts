import { evaluateNode } from "../constant/evaluate.ts";
import { narrow, widen } from "../constant/half.ts";
import { DataType } from "../data-type.ts";
import type { Node } from "../model.ts";
import type { TensorArray, TensorValue } from "../tensor-value.ts";
import { elementCount } from "../tensor-value.ts";
import { product } from "./dims.ts";
import type { Element, Fact, TensorFact } from "./facts.ts";
import { isStatic, MAX_ELEMENTS } from "./facts.ts";
import type { RuleContext } from "./rule.ts";
import { shapeRange } from "./rules/generation.ts";

/**
 * Contents of small tensors, so that shapes which a model computes (Shape → Gather → Concat → Reshape) are known.
 * The operators themselves are those of onnx/constant; here they are made to work when some elements are unknown
 * or symbols.
 */

/** Inputs whose elements such an operator moves without changing them; the others steer it. */
const MOVED: Readonly<Record<string, (input: number) => boolean>> = {
  Concat: () => true,
  Expand: (input) => input === 0,
  Flatten: (input) => input === 0,
  Gather: (input) => input === 0,
  GatherElements: (input) => input === 0,
  GatherND: (input) => input === 0,
  Reshape: (input) => input === 0,
  ScatterElements: (input) => input !== 1,
  ScatterND: (input) => input !== 1,
  Slice: (input) => input === 0,
  Split: (input) => input === 0,
  Squeeze: (input) => input === 0,
  Tile: (input) => input === 0,
  Transpose: (input) => input === 0,
  Unsqueeze: (input) => input === 0,
  Where: (input) => input !== 0,
};

const BINARY = new Set(
  "Add Sub Mul Div Mod Pow Max Min Equal Greater GreaterOrEqual Less LessOrEqual And Or".split(" "),
);
const UNARY = new Set("Cast Floor Ceil Round Neg Abs Not Sqrt Reciprocal".split(" "));
/** Of these a symbol, being a positive integer, comes out as it went in. */
const KEEPS_SYMBOLS = new Set(["Cast", "Floor", "Ceil", "Round", "Abs"]);
/** Their rules give the elements themselves. */
const ALREADY_FILLED = new Set(["Constant", "ConstantOfShape", "Identity", "If", "Loop", "Scan"]);
/** These have an output of no known size that is bounded by their input's. */
const BOUNDED = new Set(["NonZero", "Unique", "Compress"]);

/**
 * The rule's answer with the contents of small outputs filled in where they can be told.
 * @param facts the outputs as the rule gave them
 * @param budget elements that may still be followed in this model
 */
export function withContents(
  c: RuleContext,
  facts: readonly (Fact | undefined)[],
  budget: { left: number },
): readonly (Fact | undefined)[] {
  const { node } = c;
  if (node.domain !== "" && node.domain !== "ai.onnx") return facts;
  if (node.opType === "Shape") return [filled(facts[0], shapeElements(c))];
  if (node.opType === "Size") return [filled(facts[0], sizeElements(c))];
  if (ALREADY_FILLED.has(node.opType) || !facts.every((fact) => fits(fact, node.opType))) return facts;
  const inputs = node.inputs.map((name, i) => (name === "" ? undefined : c.tensor(i)));
  if (inputs.some((input) => input && !input.elements)) return facts;
  budget.left -= inputs.reduce((sum, input) => sum + (input?.elements?.length ?? 0), 1);
  if (budget.left < 0) return facts;
  const outputs = evaluate(node, c.opset, inputs);
  budget.left -= outputs?.reduce((sum, output) => sum + (output?.elements?.length ?? 0), 0) ?? 0;
  return facts.map((fact, i) => (outputs?.[i] ? outputs[i] : fact));
}

function fits(fact: Fact | undefined, opType: string): boolean {
  if (fact?.kind !== "tensor" || !fact.dims) return false;
  const count = product(fact.dims);
  return typeof count === "number" ? count <= MAX_ELEMENTS : BOUNDED.has(opType);
}

function filled(fact: Fact | undefined, elements: readonly Element[] | null): Fact | undefined {
  return fact?.kind === "tensor" && elements ? { ...fact, elements } : fact;
}

function shapeElements(c: RuleContext): readonly Element[] | null {
  const dims = c.dims(0);
  if (!dims) return null;
  return dims.slice(...shapeRange(c.int("start", 0), c.int("end"), dims.length));
}

function sizeElements(c: RuleContext): readonly Element[] | null {
  const dims = c.dims(0);
  return dims && [product(dims)];
}

function evaluate(
  node: Node,
  opset: number,
  inputs: readonly (TensorFact | undefined)[],
): (TensorFact | undefined)[] | null {
  if (inputs.every((input) => !input || isStatic(input.elements ?? null))) {
    const values = inputs.map((input) => input && valueFrom(input));
    if (values.some((value) => value === null)) return null;
    const outputs = evaluateNode(node, values as (TensorValue | undefined)[], opset);
    return outputs?.map((value) => factOf(value)) ?? null;
  }
  const moved = MOVED[node.opType];
  if (moved) return evaluateMoved(node, opset, inputs, moved);
  if (BINARY.has(node.opType)) return evaluateBinary(node, opset, inputs);
  if (UNARY.has(node.opType)) return evaluateUnary(node, opset, inputs);
  return null;
}

/** Runs the operator on the positions of the elements instead of the elements. */
function evaluateMoved(
  node: Node,
  opset: number,
  inputs: readonly (TensorFact | undefined)[],
  moved: (input: number) => boolean,
): (TensorFact | undefined)[] | null {
  const pool: Element[] = [];
  let dataType = 0;
  const values: (TensorValue | undefined)[] = [];
  for (const [i, input] of inputs.entries()) {
    if (!input || !moved(i)) {
      const value = input && valueFrom(input);
      if (value === null) return null;
      values.push(value);
      continue;
    }
    const elements = input.elements ?? [];
    const positions = BigInt64Array.from(elements, (_, at) => BigInt(pool.length + at));
    values.push({ dataType: DataType.INT64, dims: numeric(input), data: positions });
    pool.push(...elements);
    dataType = input.dataType;
  }
  const outputs = evaluateNode(node, values, opset);
  return (
    outputs?.map((value) => ({
      kind: "tensor",
      dataType,
      dims: value.dims,
      elements: Array.from(value.data as BigInt64Array, (position) => pool[Number(position)] ?? null),
    })) ?? null
  );
}

/** Computes the known elements, with 1 in place of the others; adding up marks tells which those are. */
function evaluateBinary(
  node: Node,
  opset: number,
  inputs: readonly (TensorFact | undefined)[],
): (TensorFact | undefined)[] | null {
  const [a, b] = inputs;
  if (!a || !b || inputs.length !== 2) return null;
  const [known] = evaluateKnown(node, opset, [a, b]) ?? [];
  const index = { ...node, opType: "Add", attributes: [] };
  const spread = (input: TensorFact, other: TensorFact) => {
    const zeros = { ...other, dataType: DataType.INT64, elements: (other.elements ?? []).map(() => 0) };
    const positions = {
      ...input,
      dataType: DataType.INT64,
      elements: (input.elements ?? []).map((_, i) => i),
    };
    const [value] = evaluateKnown(index, Math.max(opset, 7), [positions, zeros]) ?? [];
    return value?.elements?.map((at) => (typeof at === "number" ? (input.elements?.[at] ?? null) : null));
  };
  const [left, right] = [spread(a, b), spread(b, a)];
  if (!known?.elements || !left || !right) return null;
  const elements = known.elements.map((element, i) => {
    const [x = null, y = null] = [left[i], right[i]];
    return typeof x === "number" && typeof y === "number" ? element : symbolic(node.opType, x, y);
  });
  return [{ ...known, elements }];
}

/** What an operation on a symbol (a positive integer) or an unknown gives, where that can be told. */
function symbolic(opType: string, x: Element, y: Element): Element {
  switch (opType) {
    case "Add":
      return x === 0 ? y : y === 0 ? x : null;
    case "Sub":
      return y === 0 ? x : x !== null && x === y ? 0 : null;
    case "Mul":
      if (x === 0 || y === 0) return 0;
      return x === 1 ? y : y === 1 ? x : null;
    case "Div":
      return y === 1 ? x : x !== null && x === y ? 1 : null;
    case "Equal":
      return x !== null && x === y ? 1 : isNegative(x) || isNegative(y) ? 0 : null;
    default:
      return null;
  }
}

/** -1 never equals a size: exporters compare shapes with it (Equal → Where) before an Expand. */
function isNegative(element: Element): boolean {
  return typeof element === "number" && element < 0;
}

function evaluateUnary(
  node: Node,
  opset: number,
  inputs: readonly (TensorFact | undefined)[],
): (TensorFact | undefined)[] | null {
  const [input] = inputs;
  if (!input?.elements) return null;
  const [known] = evaluateKnown(node, opset, [input]) ?? [];
  if (!known?.elements) return null;
  const keeps = KEEPS_SYMBOLS.has(node.opType) && known.dataType !== DataType.BOOL;
  const elements = known.elements.map((element, i) => {
    const given = input.elements?.[i] ?? null;
    if (typeof given === "number") return element;
    return keeps ? given : null;
  });
  return [{ ...known, elements }];
}

function evaluateKnown(node: Node, opset: number, inputs: readonly TensorFact[]): TensorFact[] | null {
  const values: TensorValue[] = [];
  for (const input of inputs) {
    const elements = input.elements?.map((element) => (typeof element === "number" ? element : 1));
    const value = valueFrom({ ...input, elements });
    if (!value) return null;
    values.push(value);
  }
  const outputs = evaluateNode(node, values, opset)?.map((value) => factOf(value));
  return outputs?.every((output) => output !== undefined) ? outputs : null;
}

function numeric(fact: TensorFact): readonly number[] {
  return isStatic(fact.dims) ? fact.dims : [fact.elements?.length ?? 0];
}

const [INT64_MIN, INT64_MAX] = [-(2n ** 63n), 2n ** 63n - 1n];

/** Integers past 2^53 were rounded on reading, so INT64_MAX comes back as 2^63 and is put right here. */
function toInt64(number: number): bigint {
  if (!Number.isFinite(number)) return 0n;
  const exact = BigInt(Math.trunc(number));
  return exact > INT64_MAX ? INT64_MAX : exact < INT64_MIN ? INT64_MIN : exact;
}

/** A tensor of known elements as the evaluator takes it; null for types that no shape computation has. */
function valueFrom(fact: TensorFact): TensorValue | null {
  if (!isStatic(fact.elements ?? null)) return null;
  const data = arrayOf(fact.dataType, fact.elements as readonly number[]);
  return data && { dataType: fact.dataType, dims: numeric(fact), data };
}

function arrayOf(dataType: number, elements: readonly number[]): TensorArray | null {
  switch (dataType) {
    case DataType.FLOAT:
      return Float32Array.from(elements);
    case DataType.DOUBLE:
      return Float64Array.from(elements);
    case DataType.FLOAT16:
    case DataType.BFLOAT16:
      return narrow(dataType, elements);
    case DataType.INT64:
      return BigInt64Array.from(elements, toInt64);
    case DataType.UINT64:
      return BigUint64Array.from(elements, (number) => BigInt.asUintN(64, toInt64(number)));
    case DataType.INT32:
      return Int32Array.from(elements);
    case DataType.UINT32:
      return Uint32Array.from(elements);
    case DataType.INT16:
      return Int16Array.from(elements);
    case DataType.UINT16:
      return Uint16Array.from(elements);
    case DataType.INT8:
      return Int8Array.from(elements);
    case DataType.UINT8:
    case DataType.BOOL:
      return Uint8Array.from(elements);
    default:
      return null;
  }
}

/** A small value as a fact with its elements; undefined when it is too large or not numeric. */
export function factOf(value: TensorValue): TensorFact | undefined {
  if (elementCount(value.dims) > MAX_ELEMENTS) return undefined;
  const elements = elementsOf(value);
  return elements && { kind: "tensor", dataType: value.dataType, dims: value.dims, elements };
}

/** The elements of a value as numbers, or undefined for strings. */
export function elementsOf(value: TensorValue): readonly number[] | undefined {
  const { data, dataType } = value;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Array.from(data, Number);
  if (dataType === DataType.FLOAT16 || dataType === DataType.BFLOAT16) {
    return Array.from(widen(dataType, data as Uint16Array));
  }
  return ArrayBuffer.isView(data) ? Array.from(data as Float32Array) : undefined;
}
