import { mapGraphs } from "../../onnx/edit.ts";
import type { Model, Node } from "../../onnx/model.ts";

/**
 * The model without what no runtime reads: inferred types of inner values, and documentation of graphs, nodes,
 * tensors and values. metadata_props stay, because users rely on them, and so do all names.
 */
export function stripped(model: Model): Model {
  const graph = mapGraphs(model.graph, (each) => {
    const nodes = each.nodes.map(withoutDoc);
    const initializers = each.initializers.map((tensor) =>
      tensor.docString === undefined ? tensor : { ...tensor, docString: undefined },
    );
    const changed =
      each.valueInfo.length > 0 ||
      each.docString !== undefined ||
      nodes.some((node, i) => node !== each.nodes[i]) ||
      initializers.some((tensor, i) => tensor !== each.initializers[i]);
    return changed ? { ...each, nodes, initializers, valueInfo: [], docString: undefined } : each;
  });
  if (graph === model.graph && model.docString === undefined) return model;
  return { ...model, graph, docString: undefined };
}

function withoutDoc(node: Node): Node {
  const documented = node.attributes.some((attribute) => attribute.docString !== undefined);
  if (node.docString === undefined && !documented) return node;
  const attributes = node.attributes.map((attribute) =>
    attribute.docString === undefined ? attribute : { ...attribute, docString: undefined },
  );
  return { ...node, attributes, docString: undefined };
}
