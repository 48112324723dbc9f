import type { Dim, Graph, Node } from "../model.ts";
import type { Shapes } from "../shapes/shapes.ts";

/** Shapes of a node's inputs and outputs; undefined for what is left out or not known. */
export interface NodeShapes {
  readonly inputs: readonly (readonly Dim[] | undefined)[];
  readonly outputs: readonly (readonly Dim[] | undefined)[];
}

export function nodeShapes(shapes: Shapes, graph: Graph, node: Node): NodeShapes {
  const look = (name: string) => (name === "" ? undefined : shapes.of(graph, name)?.dims);
  return { inputs: node.inputs.map(look), outputs: node.outputs.map(look) };
}

/** Number of elements; null where a dimension is not a number. */
export function countOf(dims: readonly Dim[] | undefined): number | null {
  if (!dims) return null;
  let count = 1;
  for (const dim of dims) {
    if (typeof dim !== "number") return null;
    count *= dim;
  }
  return count;
}

/** Product of factors of which some may be unknown. */
export function times(...factors: readonly (Dim | undefined)[]): number | null {
  return countOf(factors.map((factor) => factor ?? null));
}

export function plus(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}
