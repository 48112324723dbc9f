import { DataType } from "../data-type.ts";
import type { TensorValue } from "../tensor-value.ts";
import type { Call, Evaluators } from "./call.ts";
import { int64, NotEvaluable } from "./values.ts";

/** Constant in each of its forms but sparse_value. */
export const constantOperators: Evaluators = {
  Constant: (call) => [constantOf(call)],
};

function constantOf(call: Call): TensorValue {
  const tensor = call.tensor("value");
  if (tensor) return tensor;
  const float = call.attribute("value_float", "float");
  if (float !== undefined) return { dataType: DataType.FLOAT, dims: [], data: Float32Array.of(float) };
  const floats = call.attribute("value_floats", "floats");
  if (floats) return { dataType: DataType.FLOAT, dims: [floats.length], data: Float32Array.from(floats) };
  const int = call.attribute("value_int", "int");
  if (int !== undefined) return int64([], [exact(int)]);
  const ints = call.attribute("value_ints", "ints");
  if (ints) return int64([ints.length], ints.map(exact));
  const text = call.attribute("value_string", "string");
  if (text !== undefined) return { dataType: DataType.STRING, dims: [], data: [text] };
  const texts = call.attribute("value_strings", "strings");
  if (texts) return { dataType: DataType.STRING, dims: [texts.length], data: texts };
  throw new NotEvaluable("Constant without a value that is read here");
}

/** Attributes past 2^53 were rounded on reading, so their value is not known here. */
function exact(value: number): number {
  if (!Number.isSafeInteger(value)) throw new NotEvaluable("integer past 2^53");
  return value;
}
