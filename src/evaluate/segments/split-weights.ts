import { columnsOf } from "../../onnx/columns.ts";
import { rawPayload } from "../../onnx/detach.ts";
import { intAttribute, intsAttribute, nodeOf } from "../../onnx/edit.ts";
import type { Graph, Node, Tensor } from "../../onnx/model.ts";
import { type Bytes, byteLength, slice } from "../../onnx/source.ts";

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
    const nodes: Node[] = [];
    const parts: string[] = [];
    for (let from = 0; from < product.columns; from += width) {
      const to = Math.min(from + width, product.columns);
      const names = { weight: fresh("hone_weight"), bias: fresh("hone_bias"), made: fresh("hone_part") };
      added.push(product.weightPart(names.weight, from, to));
      if (bias) added.push(part(bias, names.bias, from, to));
      const factor = product.transpose ? fresh("hone_factor") : names.weight;
      if (product.transpose) nodes.push(renamed(product.transpose, [names.weight], factor));
      const third = node.opType === "Gemm" && bias ? [names.bias] : [];
      const first = last === node ? names.made : fresh("hone_product");
      nodes.push(renamed(node, [node.inputs[0]!, factor, ...third], first));
      if (last !== node) nodes.push(renamed(last, [first, names.bias], names.made));
      parts.push(names.made);
    }
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
  /** Of the matrix. */
  readonly bytes: number;
  /** Some columns of the matrix as it is stored. */
  weightPart(name: string, from: number, to: number): Tensor;
  /** The node between the stored matrix and the product. */
  readonly transpose: Node | null;
  readonly bias: Tensor | null;
  /** The product itself, or the addition of the bias. */
  readonly last: Node;
}

/** Columns of each part; null where it fits whole, or cannot be made smaller. */
function partWidth({ columns, bytes }: Product, budget: number): number | null {
  if (COPIES * bytes <= budget) return null;
  const width = Math.max(BLOCK, Math.floor((columns * budget) / (COPIES * bytes) / BLOCK) * BLOCK);
  return width < columns ? width : null;
}

class Lookup {
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #makers: ReadonlyMap<string, Node>;
  readonly #readers = new Map<string, Node[]>();
  readonly #ends: ReadonlySet<string>;

  constructor({ initializers, nodes, outputs }: Graph) {
    this.#tensors = new Map(initializers.map((tensor) => [tensor.name, tensor]));
    this.#makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
    this.#ends = new Set(outputs.map(({ name }) => name));
    for (const node of nodes) {
      for (const name of node.inputs) this.#readers.set(name, [...(this.#readers.get(name) ?? []), node]);
    }
  }

  /** null where the node is none, or its matrix is stored in another form. */
  productOf(node: Node): Product | null {
    if (node.domain !== "" || !["MatMul", "Gemm"].includes(node.opType)) return null;
    const factor = this.#makers.get(node.inputs[1]!);
    const transpose = factor?.opType === "Transpose" && isPlain(factor) ? factor : null;
    const tensor = this.#tensors.get(transpose?.inputs[0] ?? node.inputs[1]!);
    const payload = tensor && rawPayload(tensor);
    if (!tensor || !payload || tensor.dims.length !== 2) return null;
    const [rows, width] = tensor.dims as [number, number];
    const byRows = (transpose !== null) !== (intAttribute(node, "transB", 0) === 1);
    const columns = byRows ? rows : width;
    const product = { columns, bytes: byteLength(payload), transpose, last: node };
    const weightPart = (name: string, from: number, to: number) =>
      byRows ? part(tensor, name, from, to) : columnPart(tensor, payload, name, from, to);
    if (node.opType === "Gemm") {
      if (!node.inputs[2]) return { ...product, weightPart, bias: null };
      const bias = this.#vector(node.inputs[2], columns);
      return bias && { ...product, weightPart, bias };
    }
    const last = this.#additionOf(node.outputs[0]!);
    const other = last?.inputs.find((name) => name !== node.outputs[0]);
    const bias = other === undefined ? null : this.#vector(other, columns);
    return last && bias ? { ...product, weightPart, bias, last } : { ...product, weightPart, bias: null };
  }

  /** The addition that alone reads a value. */
  #additionOf(name: string): Node | null {
    const [reader, ...others] = this.#readers.get(name) ?? [];
    return reader?.opType !== "Add" || others.length > 0 || this.#ends.has(name) ? null : reader;
  }

  #vector(name: string, length: number): Tensor | null {
    const tensor = this.#tensors.get(name);
    return tensor && tensor.dims.length === 1 && tensor.dims[0] === length && rawPayload(tensor)
      ? tensor
      : null;
  }
}

/** A Transpose of a matrix. */
function isPlain(node: Node): boolean {
  const order = intsAttribute(node, "perm", [1, 0]);
  return order.length === 2 && order[0] === 1;
}

function renamed(node: Node, inputs: readonly string[], output: string): Node {
  return { ...node, name: "", inputs, outputs: [output] };
}

/** Rows [from, to) of a tensor, still unread. */
function part(tensor: Tensor, name: string, from: number, to: number): Tensor {
  const payload = rawPayload(tensor)!;
  const rowBytes = byteLength(payload) / tensor.dims[0]!;
  const dims = [to - from, ...tensor.dims.slice(1)];
  return tensorAt(tensor, name, dims, slice(payload, from * rowBytes, to * rowBytes));
}

/** Columns [from, to) of a matrix, still unread. */
function columnPart(tensor: Tensor, payload: Bytes, name: string, from: number, to: number): Tensor {
  const [rows, columns] = tensor.dims as [number, number];
  const width = byteLength(payload) / rows / columns;
  const bytes = columnsOf(payload, columns * width, from * width, to * width);
  return tensorAt(tensor, name, [rows, to - from], bytes);
}

function tensorAt({ dataType }: Tensor, name: string, dims: readonly number[], bytes: Bytes): Tensor {
  return { name, dataType, dims, data: { kind: "raw", bytes } };
}
