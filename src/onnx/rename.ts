import type { Attribute, Graph, Node } from "./model.ts";

/** The node with values renamed, in its subgraphs too, except where a subgraph gives the name its own meaning. */
export function renameValues(node: Node, names: ReadonlyMap<string, string>): Node {
  if (names.size === 0) return node;
  const rename = (name: string) => names.get(name) ?? name;
  return {
    ...node,
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
    attributes: node.attributes.map((attribute): Attribute => {
      const { value } = attribute;
      if (value.type === "graph") {
        return { ...attribute, value: { type: "graph", value: renameIn(value.value, names) } };
      }
      if (value.type !== "graphs") return attribute;
      return {
        ...attribute,
        value: { type: "graphs", value: value.value.map((each) => renameIn(each, names)) },
      };
    }),
  };
}

function renameIn(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  const own = [
    ...graph.inputs.map((input) => input.name),
    ...graph.initializers.map((tensor) => tensor.name),
    ...graph.sparseInitializers.map((sparse) => sparse.values.name),
    ...graph.nodes.flatMap((node) => node.outputs),
  ];
  const rest = new Map(names);
  for (const name of own) rest.delete(name);
  if (rest.size === 0) return graph;
  const outputs = graph.outputs.map((output) => {
    const name = rest.get(output.name);
    return name ? { ...output, name } : output;
  });
  return { ...graph, nodes: graph.nodes.map((node) => renameValues(node, rest)), outputs };
}
