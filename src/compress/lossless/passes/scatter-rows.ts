import { intAttribute, nodeOf, stringAttribute } from "../../../onnx/edit.ts";
import type { Node } from "../../../onnx/model.ts";
import { isStandard, NEWEST_OPSET, type Pass, type Rewriting } from "../pass.ts";
import type { Scope } from "../scope.ts";

/**
 * Rows that are scattered entry by entry, each with the same index over the whole row (the message passing of graph
 * networks as PyTorch exports it), are scattered as rows: ScatterElements(x, Expand(i), u) becomes ScatterND(x, i, u).
 * Runtimes then copy or add whole rows, and the expanded indices need not exist.
 */
export const scatterRows: Pass = {
  name: "scatter-rows",
  // Both can reduce from opset 16 on, in the same ways.
  opsets: [16, NEWEST_OPSET],
  operators: ["ScatterElements"],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      if (!isStandard(node, "ScatterElements") || intAttribute(node, "axis", 0) !== 0) continue;
      const rows = rowIndices(scope, rewriting, node);
      if (rows === null) continue;
      const reduction = stringAttribute(node, "reduction", "none");
      // Which of several equal indices counts without a reduction is not defined, and may differ.
      if (reduction === "none") continue;
      const attributes = { reduction: { type: "string" as const, value: reduction } };
      const scatter = nodeOf("ScatterND", [node.inputs[0]!, rows, node.inputs[2]!], node.outputs, attributes);
      scope.replace(index, { ...scatter, name: node.name });
      changes++;
    }
    return changes;
  },
};

/** Indices [E, 1], one a row, when those of the node are that stretched and a row of updates is a row of the data. */
function rowIndices(scope: Scope, rewriting: Rewriting, node: Node): string | null {
  const [data, indices, updates] = node.inputs as [string, string, string];
  const expand = scope.producerNode(indices);
  if (!expand || !isStandard(expand, "Expand")) return null;
  const narrow = expand.inputs[0]!;
  const [wide, rows, given] = [data, narrow, updates].map((name) => rewriting.fact(scope, name)?.dims);
  if (wide?.length !== 2 || given?.length !== 2 || rows?.length !== 2 || rows[1] !== 1) return null;
  if (typeof wide[1] !== "number" || wide[1] !== given[1]) return null;
  // A single row of indices might be stretched downwards, too.
  return rows[0] !== null && rows[0] === given[0] ? narrow : null;
}
