import { graphAttribute, subgraphsOf, walkGraphs } from "../../onnx/edit.ts";
import type { Graph, Node } from "../../onnx/model.ts";

/**
 * Nodes of branches of an If that are built alike, such as one network for two sampling rates: a plan names the layers of
 * one of them, and they are divided in the same way whichever is taken.
 *
 * @returns for each node its counterparts in the other branches of the Ifs around it
 */
export function twinsOf(graph: Graph): ReadonlyMap<Node, readonly Node[]> {
  const twins = new Map<Node, Node[]>();
  const note = (a: Node, b: Node) => twins.set(a, [...(twins.get(a) ?? []), b]);
  for (const { graph: inner } of walkGraphs(graph)) {
    for (const node of inner.nodes) {
      const [one, other] = ["then_branch", "else_branch"].map((name) => graphAttribute(node, name));
      if (node.opType !== "If" || !one || !other || !alike(one, other)) continue;
      for (const [a, b] of pairs(one, other)) {
        note(a, b);
        note(b, a);
      }
    }
  }
  return twins;
}

/** Whether two graphs have the same operators in the same order, and their bodies too. */
function alike(a: Graph, b: Graph): boolean {
  return (
    a.nodes.length === b.nodes.length &&
    a.nodes.every((node, i) => {
      const other = b.nodes[i] as Node;
      const [own, theirs] = [subgraphsOf(node), subgraphsOf(other)];
      return (
        node.opType === other.opType &&
        own.length === theirs.length &&
        own.every(({ graph }, at) => alike(graph, theirs[at]?.graph as Graph))
      );
    })
  );
}

function* pairs(a: Graph, b: Graph): Generator<[Node, Node]> {
  for (const [i, node] of a.nodes.entries()) {
    const other = b.nodes[i] as Node;
    yield [node, other];
    const theirs = subgraphsOf(other);
    for (const [at, { graph }] of subgraphsOf(node).entries())
      yield* pairs(graph, theirs[at]?.graph as Graph);
  }
}
