import type { Tensor } from "../model.ts";
import { elementCount, type TensorValue } from "../tensor-value.ts";
import { allocate, checkedDims, need } from "./values.ts";

/** The value of a tensor whose bytes are in memory. @throws NotEvaluable when they are not. */
export function tensorAtHand(tensor: Tensor): TensorValue {
  const { data, dims, dataType } = tensor;
  need(data.kind === "raw" && data.bytes instanceof Uint8Array, "bytes not at hand");
  const target = allocate(dataType, elementCount(checkedDims(dims)));
  need(!Array.isArray(target) && target.byteLength === data.bytes.byteLength, "length of the bytes");
  new Uint8Array(target.buffer).set(data.bytes);
  return { dataType, dims, data: target };
}
