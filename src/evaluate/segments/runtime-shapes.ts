import type { Graph, Node } from "../../onnx/model.ts";
import type { ShapeInfo, Shapes } from "../../onnx/shapes/shapes.ts";

/** Operators whose output's sizes are an input's contents. */
const BY_CONTENTS: ReadonlyMap<string, number> = new Map([
  ["Reshape", 1],
  ["Expand", 1],
  ["ConstantOfShape", 0],
  ["Tile", 1],
]);

/**
 * Types and shapes of a graph's values as far as ONNX Runtime finds them out itself: it loses the symbol of an open
 * size where a Reshape says -1, or where sizes are computed. Some of its fusions ask whether two open sizes are the
 * same, so a segment that knew more than the whole model would round differently.
 */
export class RuntimeShapes {
  readonly #graph: Graph;
  readonly #shapes: Shapes;
  /** Values whose open sizes have no symbol. */
  readonly #lost = new Set<string>();

  /** @param shapes as the file has them, open sizes open */
  constructor(graph: Graph, shapes: Shapes) {
    this.#graph = graph;
    this.#shapes = shapes;
    const stated = new Set(graph.valueInfo.map(({ name }) => name));
    for (const node of graph.nodes) {
      if (!node.inputs.some((name) => this.#lost.has(name)) && !this.#losesIn(node)) continue;
      for (const name of node.outputs) if (!stated.has(name)) this.#lost.add(name);
    }
  }

  of(name: string): ShapeInfo | undefined {
    const info = this.#shapes.of(this.#graph, name);
    if (!info || !this.#lost.has(name)) return info;
    return { ...info, dims: info.dims.map((dim) => (typeof dim === "number" ? dim : null)) };
  }

  #losesIn(node: Node): boolean {
    const input = BY_CONTENTS.get(node.opType);
    if (input === undefined) return false;
    const sizes = this.#shapes.elementsOf(this.#graph, node.inputs[input] ?? "");
    return sizes === undefined || sizes.some((size) => typeof size !== "number" || size < 0);
  }
}
