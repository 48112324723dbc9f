import { subgraphsOf } from "../../onnx/edit.ts";
import type { Graph } from "../../onnx/model.ts";
import { isRandom } from "../../onnx/random.ts";
import { inStandardDomain } from "../lossless/pass.ts";

/** Not folded by ONNX Runtime although their inputs are constant: it may fuse them with what follows. */
const KEPT = ["QuantizeLinear", "DequantizeLinear"];

/** Values of the graph that a runtime computes once, when it loads the model. */
export function constantValues(graph: Graph): ReadonlySet<string> {
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const constants = new Set<string>();
  for (const { name } of graph.initializers) if (!inputs.has(name)) constants.add(name);
  for (const { values } of graph.sparseInitializers) if (!inputs.has(values.name)) constants.add(values.name);
  for (const node of graph.nodes) {
    const folded =
      inStandardDomain(node) &&
      !KEPT.includes(node.opType) &&
      !isRandom(node) &&
      subgraphsOf(node).length === 0 &&
      node.inputs.every((name) => name === "" || constants.has(name));
    if (folded) for (const name of node.outputs) if (name) constants.add(name);
  }
  return constants;
}
