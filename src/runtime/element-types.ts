import type { Tensor } from "onnxruntime-web/wasm";
import { DataType } from "../onnx/data-type.ts";

/** Types of values that go into onnxruntime-web and come out of it, and what it calls them. */
export const ORT_TYPES: ReadonlyMap<number, Tensor.Type> = new Map<number, Tensor.Type>([
  [DataType.FLOAT, "float32"],
  [DataType.UINT8, "uint8"],
  [DataType.INT8, "int8"],
  [DataType.UINT16, "uint16"],
  [DataType.INT16, "int16"],
  [DataType.INT32, "int32"],
  [DataType.INT64, "int64"],
  [DataType.STRING, "string"],
  [DataType.BOOL, "bool"],
  [DataType.FLOAT16, "float16"],
  [DataType.DOUBLE, "float64"],
  [DataType.UINT32, "uint32"],
  [DataType.UINT64, "uint64"],
]);

/** Whether values of a type can be fed and fetched. */
export function isCarried(dataType: number | undefined): boolean {
  return dataType !== undefined && ORT_TYPES.has(dataType);
}
