import { DataType } from "../onnx/data-type.ts";
import { intAttribute, walkGraphs } from "../onnx/edit.ts";
import type { Model, Tensor } from "../onnx/model.ts";
import { readTensor } from "../onnx/tensor.ts";

/** What a model's own graph says about the inputs that it can take. */
export interface ModelHints {
  /** Sizes in its shape constants (targets of Reshape and Expand), then those of its weights; the commonest first. */
  readonly sizes: readonly number[];
  /** Rows of the table that an input indexes directly, by the input's name. */
  readonly tableRows: ReadonlyMap<string, number>;
}

const MAX_SIZE = 4096;
const MAX_SIZES = 12;
/** Longer integer tensors are data, not shapes. */
const MAX_SHAPE = 8;

/** Reads small constants only; no weight is touched. */
export async function modelHints(model: Model): Promise<ModelHints> {
  const targets = new Map<number, number>();
  const weights = new Map<number, number>();
  const tableRows = new Map<string, number>();
  const note = (counts: Map<number, number>, size: number) => {
    if (size > 1 && size <= MAX_SIZE) counts.set(size, (counts.get(size) ?? 0) + 1);
  };
  const noteTensor = async (tensor: Tensor) => {
    const isShape =
      tensor.dataType === DataType.INT64 && tensor.dims.length <= 1 && (tensor.dims[0] ?? 1) <= MAX_SHAPE;
    if (isShape) for (const size of (await readTensor(tensor)).data) note(targets, Number(size));
    else for (const size of tensor.dims) note(weights, size);
  };
  for (const { graph } of walkGraphs(model.graph)) {
    for (const tensor of graph.initializers) await noteTensor(tensor);
    const tables = new Map(graph.initializers.map((tensor) => [tensor.name, tensor.dims]));
    const casts = new Map<string, string>();
    for (const node of graph.nodes) {
      for (const { value } of node.attributes) if (value.type === "tensor") await noteTensor(value.value);
      if (node.opType === "Cast") casts.set(node.outputs[0] ?? "", node.inputs[0] ?? "");
      if (node.opType !== "Gather") continue;
      const table = tables.get(node.inputs[0] ?? "");
      const rows = table?.[intAttribute(node, "axis", 0)];
      const indices = node.inputs[1] ?? "";
      const input = casts.get(indices) ?? indices;
      // Two tables may take the same input: the smaller one bounds it.
      if (rows !== undefined) tableRows.set(input, Math.min(rows, tableRows.get(input) ?? rows));
    }
  }
  const commonest = (counts: Map<number, number>) =>
    [...counts]
      .sort(([a, m], [b, n]) => n - m || a - b)
      .slice(0, MAX_SIZES)
      .map(([size]) => size);
  return { sizes: [...new Set([...commonest(targets), ...commonest(weights)])], tableRows };
}
