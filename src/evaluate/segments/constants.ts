import { subgraphsOf, tensorAttribute, walkGraphs } from "../../onnx/edit.ts";
import type { Graph, Node, SparseTensor, Tensor } from "../../onnx/model.ts";
import { isRandom } from "../../onnx/random.ts";
import type { Captures } from "../../onnx/scope.ts";
import type { Shapes } from "../../onnx/shapes/shapes.ts";
import { elementCount } from "../../onnx/tensor-value.ts";
import { bytesOfElements, bytesOfValue } from "./value-bytes.ts";

/** A value of a graph that nothing fed can change. */
export interface Constant {
  readonly source: Tensor | SparseTensor | Node;
  /** Bytes that it takes when it is computed; 0 for what shape inference does not know. */
  readonly bytes: number;
  /** Whether it is computed in every run, and gone when it has been read: DequantizeLinear, and what follows it, is not folded. */
  readonly passes: boolean;
}

/**
 * The constants of a graph: initializers, and what nodes compute of them alone, such as weights that are stored in
 * parts. A runtime computes those once, when it loads the model, so they go along with the nodes that read them.
 */
export class Constants {
  readonly #found = new Map<string, Constant>();
  readonly #captures: Captures;

  constructor(graph: Graph, shapes: Shapes, captures: Captures) {
    this.#captures = captures;
    for (const tensor of graph.initializers) {
      this.#found.set(tensor.name, { source: tensor, bytes: denseBytes(tensor), passes: false });
    }
    for (const sparse of graph.sparseInitializers) {
      const bytes = bytesOfElements(sparse.values.dataType, elementCount(sparse.dims));
      this.#found.set(sparse.values.name, { source: sparse, bytes, passes: false });
    }
    for (const node of graph.nodes) {
      if (!this.#isConstant(node)) continue;
      const value = node.opType === "Constant" ? tensorAttribute(node, "value") : undefined;
      const passes =
        node.opType === "DequantizeLinear" || node.inputs.some((name) => this.#found.get(name)?.passes);
      for (const name of node.outputs) {
        if (name === "") continue;
        const bytes = value ? denseBytes(value) : bytesOfValue(shapes.of(graph, name));
        this.#found.set(name, { source: node, bytes, passes });
      }
    }
  }

  get(name: string): Constant | undefined {
    return this.#found.get(name);
  }

  has(name: string): boolean {
    return this.#found.has(name);
  }

  /** A constant, and all that it is computed from. */
  closure(name: string, into: Set<string>): void {
    if (into.has(name)) return;
    const constant = this.#found.get(name);
    if (!constant) return;
    into.add(name);
    const { source } = constant;
    if (!("opType" in source)) return;
    for (const output of source.outputs) if (output !== "") into.add(output);
    for (const input of this.#captures.ofNode(source)) this.closure(input, into);
  }

  #isConstant(node: Node): boolean {
    // A Dropout that is told to train draws numbers.
    if (isRandom(node) || node.opType === "Dropout" || subgraphsOf(node).length > 0) return false;
    return node.inputs.every((name) => name === "" || this.#found.has(name));
  }
}

/** Bytes of the weights inside a node's subgraphs. */
export function heldBytes(node: Node): number {
  let bytes = 0;
  for (const { graph } of subgraphsOf(node)) {
    for (const { graph: inner } of walkGraphs(graph)) {
      for (const tensor of inner.initializers) bytes += denseBytes(tensor);
      for (const one of inner.nodes) {
        const value = tensorAttribute(one, "value");
        if (value) bytes += denseBytes(value);
      }
    }
  }
  return bytes;
}

function denseBytes({ dataType, dims }: Tensor): number {
  return bytesOfElements(dataType, elementCount(dims));
}
