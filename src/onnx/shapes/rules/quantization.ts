import { DataType } from "../../data-type.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleTable } from "../rule.ts";

const quantize: Rule = (c) => {
  const zeroPoint = c.has(2) ? c.type(2) : DataType.UINT8;
  return [tensor(c.int("output_dtype", 0) || zeroPoint, c.dims(0))];
};

const dequantize: Rule = (c) => [tensor(c.int("output_dtype", 0) || c.type(1), c.dims(0))];

const dynamicQuantize: Rule = (c) => [
  tensor(DataType.UINT8, c.dims(0)),
  tensor(DataType.FLOAT, []),
  tensor(DataType.UINT8, []),
];

/** To and from quantised values. */
export const quantizationRules: RuleTable = {
  QuantizeLinear: quantize,
  DequantizeLinear: dequantize,
  DynamicQuantizeLinear: dynamicQuantize,
};
