import { rowsOf } from "../../onnx/columns.ts";
import { freshNames, intAttribute } from "../../onnx/edit.ts";
import type { Model } from "../../onnx/model.ts";
import { load } from "../../onnx/source.ts";
import type { TensorValue } from "../../onnx/tensor-value.ts";
import { isCarried } from "../../runtime/element-types.ts";
import { RuntimeRunError } from "../../runtime/errors.ts";
import { elementsOf } from "../elements.ts";
import {
  alongAxis,
  type ElementwiseConstant,
  elementwiseConstant,
  type Parts,
  type PickEntries,
} from "./elementwise-constant.ts";
import type { SegmentLoader } from "./segment-loader.ts";
import type { WorkGraph, WorkNode } from "./work-graph.ts";

/** A Gather of rows of a constant table, of which only the rows that are asked for are read. */
export interface TableRows {
  readonly table: ElementwiseConstant;
  readonly indices: string;
  readonly output: string;
  /** The model that it is in. */
  readonly model: Model;
}

/** null where the node is none, or its table is not stored row by row. */
export function tableRows(model: Model, { node, reads }: WorkNode, graph: WorkGraph): TableRows | null {
  const [name, indices] = node.inputs;
  if (node.opType !== "Gather" || node.domain !== "" || intAttribute(node, "axis", 0) !== 0) return null;
  const table = elementwiseConstant(name!, (one) => {
    const source = graph.constants.get(one)?.source;
    return source && "values" in source ? undefined : source;
  });
  if (!table || table.dims.length === 0 || !isCarried(table.dataType) || !reads.includes(indices!))
    return null;
  const rows: TableRows = { table, indices: indices!, output: node.outputs[0]!, model };
  return modelOfRows(rows, [0]) && rows;
}

/**
 * The rows of a table, in the order of the indices: ONNX's Gather on axis 0. Each row is read once.
 * @param indices int32 or int64; negative ones count from the end
 * @throws RuntimeRunError where an index lies outside the table, as the runtime does
 */
export async function gatherRows(
  rows: TableRows,
  indices: TensorValue,
  loader: SegmentLoader,
): Promise<TensorValue> {
  const { dataType, dims } = rows.table;
  const count = dims[0]!;
  const places = Array.from(indices.data as ArrayLike<number | bigint>, (index) => {
    const place = Number(index) + (Number(index) < 0 ? count : 0);
    if (place >= 0 && place < count) return place;
    throw new RuntimeRunError(`a Gather asks for row ${index} of ${count}`);
  });
  const wanted = [...new Set(places)].sort((a, b) => a - b);
  const found = wanted.length === 0 ? new Uint8Array(0) : await rowBytes(rows, wanted, loader);
  const width = found.length / wanted.length;
  const at = new Map(wanted.map((place, i) => [place, i * width]));
  const bytes = new Uint8Array(places.length * (wanted.length === 0 ? 0 : width));
  for (const [i, place] of places.entries()) {
    const from = at.get(place)!;
    bytes.set(found.subarray(from, from + width), i * width);
  }
  return { dataType, dims: [...indices.dims, ...dims.slice(1)], data: elementsOf(dataType, bytes) };
}

/** The table's entries in these rows. */
async function rowBytes(
  rows: TableRows,
  places: readonly number[],
  loader: SegmentLoader,
): Promise<Uint8Array> {
  const { model, stored } = modelOfRows(rows, places)!;
  if (stored) return load(stored);
  const session = await loader.load(model);
  try {
    const { data } = Object.values(await session.run({}))[0]!;
    const view = data as Uint8Array;
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  } finally {
    await session.release();
  }
}

/** What computes some rows of the table, or where they are stored as they are; null where they cannot be had alone. */
function modelOfRows({ table, model }: TableRows, places: readonly number[]) {
  const parts: Parts = { tensors: [], nodes: [], fresh: freshNames(model) };
  const name = table.slice(0, rowsAt(places), parts);
  if (name === null) return null;
  const made = parts.tensors.find((tensor) => tensor.name === name);
  const used = new Set(parts.nodes.flatMap(({ inputs }) => inputs));
  const { irVersion, opsetImports, functions } = model;
  const dims = [places.length, ...table.dims.slice(1)];
  const type = { kind: "tensor", dataType: table.dataType, shape: dims } as const;
  return {
    stored: made?.data.kind === "raw" ? made.data.bytes : null,
    model: {
      irVersion,
      opsetImports,
      functions,
      metadata: [],
      graph: {
        name: "rows",
        nodes: parts.nodes,
        initializers: [...parts.tensors, ...new Set(table.stored.filter((tensor) => used.has(tensor.name)))],
        sparseInitializers: [],
        inputs: [],
        outputs: [{ name, type }],
        valueInfo: [],
      },
    },
  };
}

/** Entries of the first axis. */
function rowsAt(places: readonly number[]): PickEntries {
  return (stored, axis) => {
    const along = alongAxis(stored, axis);
    if (along?.outer !== 1) return null;
    const { tensor, payload } = stored;
    return { dims: tensor.dims.with(axis, places.length), bytes: rowsOf(payload, along.entryBytes, places) };
  };
}
