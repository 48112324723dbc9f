import { rawPayload } from "../../onnx/detach.ts";
import { intAttribute } from "../../onnx/edit.ts";
import type { Tensor } from "../../onnx/model.ts";
import { type Bytes, byteLength, load, slice } from "../../onnx/source.ts";
import type { TensorValue } from "../../onnx/tensor-value.ts";
import { isCarried } from "../../runtime/element-types.ts";
import { RuntimeRunError } from "../../runtime/errors.ts";
import { elementsOf } from "../elements.ts";
import type { WorkGraph, WorkNode } from "./work-graph.ts";

/** A Gather of rows of a constant table, done here: only the rows that are asked for are read. */
export interface TableRows {
  readonly table: Tensor;
  readonly indices: string;
  readonly output: string;
}

/** null where the node is none, or its table is not stored row by row. */
export function tableRows({ node, reads }: WorkNode, { constants }: WorkGraph): TableRows | null {
  const [table, indices] = node.inputs;
  if (node.opType !== "Gather" || node.domain !== "" || intAttribute(node, "axis", 0) !== 0) return null;
  const source = constants.get(table!)?.source;
  const isTensor = source !== undefined && "dims" in source && "data" in source;
  if (!isTensor || !isCarried(source.dataType) || !rawPayload(source) || !reads.includes(indices!))
    return null;
  return { table: source, indices: indices!, output: node.outputs[0]! };
}

/**
 * The rows of a table, in the order of the indices: ONNX's Gather on axis 0. Each row is read once.
 * @param indices int32 or int64; negative ones count from the end
 * @throws RuntimeRunError where an index lies outside the table, as the runtime does
 */
export async function gatherRows(table: Tensor, indices: TensorValue): Promise<TensorValue> {
  const [count, ...rest] = table.dims as [number, ...number[]];
  const payload = rawPayload(table)!;
  const rowBytes = byteLength(payload) / count;
  const places = Array.from(indices.data as ArrayLike<number | bigint>, (index) => {
    const place = Number(index) + (Number(index) < 0 ? count : 0);
    if (place >= 0 && place < count) return place;
    throw new RuntimeRunError(`a Gather asks for row ${index} of ${count}`);
  });
  const rows = await readRows(payload, rowBytes, new Set(places));
  const bytes = new Uint8Array(places.length * rowBytes);
  for (const [i, place] of places.entries()) bytes.set(rows.get(place)!, i * rowBytes);
  const { dataType } = table;
  return { dataType, dims: [...indices.dims, ...rest], data: elementsOf(dataType, bytes) };
}

/** Rows by place; neighbours are read together. */
async function readRows(
  payload: Bytes,
  rowBytes: number,
  wanted: ReadonlySet<number>,
): Promise<ReadonlyMap<number, Uint8Array>> {
  const places = [...wanted].sort((a, b) => a - b);
  const rows = new Map<number, Uint8Array>();
  for (let at = 0; at < places.length; ) {
    let end = at + 1;
    while (end < places.length && places[end] === places[end - 1]! + 1) end++;
    const [first, last] = [places[at]!, places[end - 1]!];
    const run = await load(slice(payload, first * rowBytes, (last + 1) * rowBytes));
    for (let place = first; place <= last; place++) {
      rows.set(place, run.subarray((place - first) * rowBytes, (place - first + 1) * rowBytes));
    }
    at = end;
  }
  return rows;
}
