import { ConstantHolders } from "../onnx/constant-holders.ts";
import { bitsPerElement } from "../onnx/data-type.ts";
import type { Layer, LayerUse } from "../onnx/layers.ts";
import type { Graph, Model } from "../onnx/model.ts";
import type { Shapes } from "../onnx/shapes/shapes.ts";
import { elementCount } from "../onnx/tensor-value.ts";

/** Most nodes between a weight and its use. */
const MAX_CHAIN = 64;

/** Products whose weight is packed in blocks. */
export const PACKED: ReadonlySet<string> = new Set(["MatMulNBits", "MatMulBnb4"]);

/**
 * Bytes of weights where their layers read them from. A runtime folds what it can compute of constants when it loads
 * a model, so that palettes, masks, gaps and sparse tensors lie in memory as the dense numbers that they stand for.
 * DequantizeLinear is not folded: its integers stay as stored, with their scales and zero points.
 */
export class WeightBytes {
  readonly #holders: ConstantHolders;
  readonly #shapes: Shapes;

  constructor(model: Model, shapes: Shapes) {
    this.#holders = new ConstantHolders(model.graph);
    this.#shapes = shapes;
  }

  of({ parameters, dataType, uses }: Layer): number {
    const [{ graph, node, input }] = uses as readonly [LayerUse];
    const name = node.inputs[input] ?? "";
    // Blocks of few bits, with their scales and zero points behind them.
    if (PACKED.has(node.opType)) {
      return node.inputs.slice(1, 4).reduce((sum, block) => sum + this.#bytesOf(graph, block), 0);
    }
    const stored = this.#dequantized(graph, name);
    if (stored !== null) return stored;
    return (parameters * bitsOf(this.#shapes.of(graph, name)?.dataType || dataType)) / 8;
  }

  /** Bytes of the integers, scales and zero points of a DequantizeLinear behind nodes of one input; null without one. */
  #dequantized(start: Graph, name: string): number | null {
    let graph = start;
    let value = name;
    for (let i = 0; i < MAX_CHAIN; i++) {
      const maker = this.#holders.maker(graph, value);
      if (!maker || "kind" in maker.made) return null;
      const node = maker.made;
      graph = maker.graph;
      if (node.opType === "DequantizeLinear") {
        return node.inputs.reduce((sum, input) => sum + this.#bytesOf(graph, input), 0);
      }
      value = node.inputs[0] ?? "";
    }
    return null;
  }

  #bytesOf(graph: Graph, name: string): number {
    if (name === "") return 0;
    const held = this.#holders.find(graph, name)?.holder.tensor;
    const fact = this.#shapes.of(graph, name);
    const dims = fact?.dims ?? held?.dims ?? [];
    const dataType =
      fact?.dataType ?? (held && "values" in held ? held.values.dataType : held?.dataType) ?? 0;
    const known = dims.filter((dim) => typeof dim === "number");
    return (elementCount(known) * bitsOf(dataType)) / 8;
  }
}

/** Bits of one element; those of float32 where the type is not known. */
function bitsOf(dataType: number): number {
  return bitsPerElement(dataType) ?? 32;
}
