import { walkGraphs } from "../../../src/onnx/edit.ts";
import type { Model } from "../../../src/onnx/model.ts";

/** Nodes of the main graph and of every subgraph. */
export function nodeCount(model: Model): number {
  return Array.from(walkGraphs(model.graph)).reduce((sum, { graph }) => sum + graph.nodes.length, 0);
}
