import { columnsOf } from "../../onnx/columns.ts";
import { intAttribute, nodeOf, tensorAttribute } from "../../onnx/edit.ts";
import type { Graph, Node, Tensor } from "../../onnx/model.ts";
import { slice } from "../../onnx/source.ts";
import {
  alongAxis,
  type ElementwiseConstant,
  elementwiseConstant,
  type Parts,
  type PickEntries,
} from "./elementwise-constant.ts";

/**
 * Columns of a product that are computed together are multiples of this, as in the runtime itself, so that it takes
 * each sum in the same order.
 */
const BLOCK = 128;
/** Copies of a weight that a part may take: those that Extent counts, and what the part makes. */
const COPIES = 4;

/**
 * The graph with every product by a constant matrix that does not fit the budget as several, each by some of its
 * columns, and a Concat of what they give: a language model's last layer. A bias that is added to the product is added
 * to the parts, as the runtime computes both as one.
 *
 * @param fresh gives names that nothing in the model has
 */
export function splitWeights(graph: Graph, budget: number, fresh: (stem: string) => string): Graph {
  const lookup = new Lookup(graph);
  const added: Tensor[] = [];
  const replaced = new Map<Node, readonly Node[]>();
  for (const node of graph.nodes) {
    const product = lookup.productOf(node);
    const width = product && partWidth(product, budget);
    if (!product || width === null) continue;
    const { last, bias } = product;
    const split: Parts = { tensors: [], nodes: [], fresh };
    const parts: string[] = [];
    for (let from = 0; from < product.columns; from += width) {
      const to = Math.min(from + width, product.columns);
      const factor = product.part(from, to, split);
      if (factor === null) break;
      const summand = bias?.slice(0, range(from, to), split);
      const third = node.opType === "Gemm" && summand ? [summand] : [];
      const made = fresh("hone_part");
      const first = last === node ? made : fresh("hone_product");
      split.nodes.push(renamed(node, [node.inputs[0]!, factor, ...third], first));
      if (last !== node) split.nodes.push(renamed(last, [first, summand!], made));
      parts.push(made);
    }
    if (parts.length < Math.ceil(product.columns / width)) continue;
    added.push(...split.tensors);
    const { nodes } = split;
    nodes.push(nodeOf("Concat", parts, last.outputs, { axis: { type: "int", value: -1 } }));
    replaced.set(node, []);
    replaced.set(last, nodes);
  }
  if (replaced.size === 0) return graph;
  return {
    ...graph,
    nodes: graph.nodes.flatMap((node) => replaced.get(node) ?? [node]),
    initializers: [...graph.initializers, ...added],
  };
}

/** A product by a constant matrix. */
interface Product {
  readonly columns: number;
  /** That the whole matrix takes, loaded and run. */
  readonly bytes: number;
  /** Adds what computes some columns of the matrix. */
  part(from: number, to: number, parts: Parts): string | null;
  readonly bias: ElementwiseConstant | null;
  /** The product itself, or the addition of the bias. */
  readonly last: Node;
}

/** Columns of each part; null where it fits whole, or cannot be made smaller. */
function partWidth({ columns, bytes }: Product, budget: number): number | null {
  if (bytes <= budget) return null;
  const width = Math.max(BLOCK, Math.floor((columns * budget) / bytes / BLOCK) * BLOCK);
  return width < columns ? width : null;
}

class Lookup {
  readonly #sources = new Map<string, Tensor | Node>();
  readonly #readers = new Map<string, Node[]>();
  readonly #ends: ReadonlySet<string>;

  constructor({ initializers, nodes, outputs }: Graph) {
    for (const tensor of initializers) this.#sources.set(tensor.name, tensor);
    for (const node of nodes) {
      const value = node.opType === "Constant" ? tensorAttribute(node, "value") : undefined;
      for (const name of node.outputs) this.#sources.set(name, value ? { ...value, name } : node);
      for (const name of node.inputs) this.#readers.set(name, [...(this.#readers.get(name) ?? []), node]);
    }
    this.#ends = new Set(outputs.map(({ name }) => name));
  }

  /** null where the node is none, or parts of its matrix cannot be had alone. */
  productOf(node: Node): Product | null {
    if (node.domain !== "" || !["MatMul", "Gemm"].includes(node.opType)) return null;
    const matrix = this.#constant(node.inputs[1]!);
    if (matrix?.dims.length !== 2) return null;
    const axis = intAttribute(node, "transB", 0) === 1 ? 0 : 1;
    const columns = matrix.dims[axis]!;
    const bytes = COPIES * matrix.bytes + matrix.passing;
    const part = (from: number, to: number, parts: Parts) => matrix.slice(axis, range(from, to), parts);
    const product = { columns, bytes, part, last: node };
    if (node.opType === "Gemm") {
      if (!node.inputs[2]) return { ...product, bias: null };
      const bias = this.#vector(node.inputs[2], columns);
      return bias && { ...product, bias };
    }
    const last = this.#additionOf(node.outputs[0]!);
    const other = last?.inputs.find((name) => name !== node.outputs[0]);
    const bias = other === undefined ? null : this.#vector(other, columns);
    return last && bias ? { ...product, bias, last } : { ...product, bias: null };
  }

  #constant(name: string): ElementwiseConstant | null {
    return elementwiseConstant(name, (one) => this.#sources.get(one));
  }

  /** The addition that alone reads a value. */
  #additionOf(name: string): Node | null {
    const [reader, ...others] = this.#readers.get(name) ?? [];
    return reader?.opType !== "Add" || others.length > 0 || this.#ends.has(name) ? null : reader;
  }

  #vector(name: string, length: number): ElementwiseConstant | null {
    const constant = this.#constant(name);
    return constant?.dims.length === 1 && constant.dims[0] === length ? constant : null;
  }
}

function renamed(node: Node, inputs: readonly string[], output: string): Node {
  return { ...node, name: "", inputs, outputs: [output] };
}

/** Entries [from, to) along an axis. */
function range(from: number, to: number): PickEntries {
  return (stored, axis) => {
    const along = alongAxis(stored, axis);
    if (!along) return null;
    const { outer, count, entryBytes } = along;
    const [first, end] = [from * entryBytes, to * entryBytes];
    const { tensor, payload } = stored;
    return {
      dims: tensor.dims.with(axis, to - from),
      bytes: outer === 1 ? slice(payload, first, end) : columnsOf(payload, count * entryBytes, first, end),
    };
  };
}
