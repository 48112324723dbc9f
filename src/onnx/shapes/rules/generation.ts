import { DataType } from "../../data-type.ts";
import type { Dim } from "../../model.ts";
import { product } from "../dims.ts";
import type { Element, Fact } from "../facts.ts";
import { MAX_ELEMENTS, tensor } from "../facts.ts";
import type { Rule, RuleContext, RuleTable } from "../rule.ts";
import { shapeFrom } from "./movement.ts";

/** The value is one of several attributes, one for each type. */
const constant: Rule = (c) => [constantFact(c)];

function constantFact(c: RuleContext): Fact | undefined {
  const dense = c.tensorAttribute("value");
  if (dense) return { ...tensor(dense.dataType, dense.dims), elements: c.contents(dense) };
  const sparse = c.attribute("sparse_value");
  if (sparse?.type === "sparse_tensor") return tensor(sparse.value.values.dataType, sparse.value.dims);
  const int = c.int("value_int");
  if (int !== undefined) return { kind: "tensor", dataType: DataType.INT64, dims: [], elements: [int] };
  const float = c.attribute("value_float");
  if (float?.type === "float") {
    return { kind: "tensor", dataType: DataType.FLOAT, dims: [], elements: [Math.fround(float.value)] };
  }
  const ints = c.ints("value_ints");
  if (ints) return list(DataType.INT64, ints);
  const floats = c.floats("value_floats");
  if (floats) return list(DataType.FLOAT, floats.map(Math.fround));
  if (c.attribute("value_string")) return tensor(DataType.STRING, []);
  const strings = c.attribute("value_strings");
  return strings?.type === "strings" ? tensor(DataType.STRING, [strings.value.length]) : undefined;
}

function list(dataType: number, elements: readonly number[]): Fact {
  return { kind: "tensor", dataType, dims: [elements.length], elements };
}

const constantOfShape: Rule = (c) => {
  const value = c.tensorAttribute("value");
  const dims = shapeFrom(c, 0);
  const fact = tensor(value?.dataType ?? DataType.FLOAT, dims);
  const element = value ? c.contents(value)?.[0] : 0;
  const count = dims && product(dims);
  if (element === undefined || typeof count !== "number" || count > MAX_ELEMENTS) return [fact];
  return [{ ...fact, elements: Array<Element>(count).fill(element) }];
};

/** Its elements are filled in by the evaluator of small tensors. */
const shape: Rule = (c) => {
  const rank = c.dims(0)?.length;
  if (rank === undefined) return [tensor(DataType.INT64, [null])];
  const [from, to] = shapeRange(c.int("start", 0), c.int("end"), rank);
  return [tensor(DataType.INT64, [Math.max(0, to - from)])];
};

/** Axes that Shape takes with `start` and `end` (opset 15), clamped to the rank. */
export function shapeRange(start: number, end: number | undefined, rank: number): [number, number] {
  const clamp = (axis: number) => Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), rank);
  return [clamp(start), clamp(end ?? rank)];
}

const range: Rule = (c) => {
  const [start, limit, delta] = [c.elements(0)?.[0], c.elements(1)?.[0], c.elements(2)?.[0]];
  let length: Dim = null;
  if (typeof start === "number" && typeof limit === "number" && typeof delta === "number" && delta !== 0) {
    length = Math.max(0, Math.ceil((limit - start) / delta));
  } else if (start === 0 && delta === 1) length = limit ?? null;
  return [tensor(c.type(0), [length])];
};

const eyeLike: Rule = (c) => [tensor(c.int("dtype", c.type(0)), c.dims(0))];

const random: Rule = (c) => [tensor(c.int("dtype", DataType.FLOAT), c.ints("shape") ?? null)];

const randomLike: Rule = (c) => [tensor(c.int("dtype", c.type(0)), c.dims(0))];

const multinomial: Rule = (c) => [
  tensor(c.int("dtype", DataType.INT32), [c.dims(0)?.[0] ?? null, c.int("sample_size", 1)]),
];

const window: Rule = (c) => [tensor(c.int("output_datatype", DataType.FLOAT), [c.elements(0)?.[0] ?? null])];

const melWeights: Rule = (c) => {
  const length = c.elements(1)?.[0];
  const bins = typeof length === "number" ? Math.floor(length / 2) + 1 : null;
  return [tensor(c.int("output_datatype", DataType.FLOAT), [bins, c.elements(0)?.[0] ?? null])];
};

/** Makes values from nothing, or from shapes. */
export const generationRules: RuleTable = {
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Shape: shape,
  Size: () => [tensor(DataType.INT64, [])],
  Range: range,
  EyeLike: eyeLike,
  RandomNormal: random,
  RandomUniform: random,
  RandomNormalLike: randomLike,
  RandomUniformLike: randomLike,
  Multinomial: multinomial,
  BlackmanWindow: window,
  HannWindow: window,
  HammingWindow: window,
  MelWeightMatrix: melWeights,
};
