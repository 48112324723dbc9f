import { DataType } from "../../onnx/data-type.ts";
import { intAttribute, nodeOf } from "../../onnx/edit.ts";
import type { Node } from "../../onnx/model.ts";
import { tensorOf } from "../../onnx/tensor.ts";
import { type Box, lengthOf, wholeBox } from "./box.ts";
import { type LayerNode, type Part, type Read, unitsOf } from "./part.ts";
import type { Portion } from "./work.ts";

/**
 * A part of a table lookup: some of the columns (type III), and some of the rows (type II), whose absent neighbours
 * give zeros, so that the devices' answers add up.
 */
export function embeddingPart({ node, dimsOf }: LayerNode, portion: Portion): Part | null {
  const [table = "", indices = ""] = node.inputs;
  const [dims, picked] = [dimsOf(table) as readonly number[], dimsOf(indices) as readonly number[]];
  const axis = wrapped(intAttribute(node, "axis", 0), dims.length);
  // The last axis but the one that is looked up along.
  const columnAxis = axis === dims.length - 1 ? dims.length - 2 : dims.length - 1;
  if (columnAxis < 0) return null;
  const entries = dims[axis] ?? 0;
  const rows = unitsOf(portion.input, entries);
  const columns = unitsOf(portion.output, dims[columnAxis] ?? 0);
  const partial = lengthOf(rows) < entries;
  const box: Box = dims.map((size, at) =>
    at === axis ? rows : at === columnAxis ? columns : { from: 0, to: size },
  );
  const made = dimsOf(node.outputs[0] ?? "") as readonly number[];
  const madeAxis = columnAxis < axis ? columnAxis : columnAxis + picked.length - 1;
  const reads: Read[] = [
    { name: table, slot: 0, box },
    { name: indices, slot: 1, box: wholeBox(picked) },
  ];
  return {
    reads,
    outputs: [wholeBox(made).map((own, at) => (at === madeAxis ? columns : own))],
    partial,
    nodes(inputs, outputs) {
      if (!partial) return [{ ...node, inputs, outputs }];
      const mask = [...picked, ...dims.slice(axis + 1).map(() => 1)];
      return rowsOf(node, { entries, from: rows.from, count: lengthOf(rows), mask }, inputs, outputs);
    },
  };
}

function wrapped(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** Looks up what is in [from, from + count) and gives zeros for the rest. */
function rowsOf(
  node: Node,
  { entries, from, count, mask }: { entries: number; from: number; count: number; mask: readonly number[] },
  [table = "", indices = ""]: readonly string[],
  [output = ""]: readonly string[],
): Node[] {
  const name = (suffix: string) => `${output}/${suffix}`;
  const constant = (suffix: string, dims: readonly number[], data: BigInt64Array) =>
    nodeOf("Constant", [], [name(suffix)], {
      value: { type: "tensor", value: tensorOf("", { dataType: DataType.INT64, dims, data }) },
    });
  const int = (suffix: string, value: number) => constant(suffix, [], BigInt64Array.of(BigInt(value)));
  return [
    int("entries", entries),
    int("from", from),
    int("count", count),
    int("first", 0),
    constant("mask_shape", [mask.length], BigInt64Array.from(mask, BigInt)),
    nodeOf("Cast", [indices], [name("index")], { to: { type: "int", value: DataType.INT64 } }),
    nodeOf("Less", [name("index"), name("first")], [name("negative")]),
    nodeOf("Add", [name("index"), name("entries")], [name("wrapped")]),
    nodeOf("Where", [name("negative"), name("wrapped"), name("index")], [name("row")]),
    nodeOf("Sub", [name("row"), name("from")], [name("local")]),
    nodeOf("Less", [name("local"), name("first")], [name("before")]),
    nodeOf("Less", [name("local"), name("count")], [name("below")]),
    nodeOf("Not", [name("before")], [name("not_before")]),
    nodeOf("And", [name("not_before"), name("below")], [name("inside")]),
    nodeOf("Where", [name("inside"), name("local"), name("first")], [name("held")]),
    { ...node, inputs: [table, name("held")], outputs: [name("looked_up")] },
    // Zeros of the table's own type.
    nodeOf("Sub", [name("looked_up"), name("looked_up")], [name("zero")]),
    nodeOf("Reshape", [name("inside"), name("mask_shape")], [name("mask")]),
    nodeOf("Where", [name("mask"), name("looked_up"), name("zero")], [output]),
  ];
}
