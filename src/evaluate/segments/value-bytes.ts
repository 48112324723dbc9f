import { DataType } from "../../onnx/data-type.ts";
import type { ShapeInfo } from "../../onnx/shapes/shapes.ts";
import { rawByteLength } from "../../onnx/tensor-layout.ts";
import type { TensorValue } from "../../onnx/tensor-value.ts";

/** What a string of a tensor is taken to have. */
const TEXT_BYTES = 16;

/** Bytes of a value by its type and shape: open sizes count as 1, an unknown type as float; 0 where not even the rank is known. */
export function bytesOfValue(info: ShapeInfo | undefined): number {
  if (!info) return 0;
  const elements = info.dims.reduce<number>(
    (product, dim) => product * (typeof dim === "number" ? dim : 1),
    1,
  );
  return bytesOfElements(info.dataType, elements);
}

/** Bytes of so many elements, dense. */
export function bytesOfElements(dataType: number, elements: number): number {
  const known = dataType === DataType.UNDEFINED ? DataType.FLOAT : dataType;
  return rawByteLength(known, elements) ?? elements * TEXT_BYTES;
}

/** Bytes of a value at hand. */
export function bytesOfTensor({ data }: TensorValue): number {
  return ArrayBuffer.isView(data) ? data.byteLength : data.length * TEXT_BYTES;
}
