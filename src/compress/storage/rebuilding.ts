import { DataType } from "../../onnx/data-type.ts";
import { type NewAttribute, nodeOf } from "../../onnx/edit.ts";
import type { Node, Tensor } from "../../onnx/model.ts";
import { tensorOf } from "../../onnx/tensor.ts";

/** What new values are named after: a name is written twice or more, and a weight takes a dozen of them. */
const STEM = "d";

/** Collects the nodes and constants that rebuild one weight, each node with one output of a fresh name. */
export class Rebuilding {
  readonly nodes: Node[] = [];
  readonly constants: Tensor[] = [];
  readonly opset: number;
  private readonly fresh: (stem: string) => string;

  constructor(opset: number, fresh: (stem: string) => string) {
    this.opset = opset;
    this.fresh = fresh;
  }

  /** Adds a node and answers the name of its output. */
  add(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, NewAttribute>> = {},
  ): string {
    const output = this.fresh(STEM);
    this.nodes.push(nodeOf(opType, inputs, [output], attributes));
    return output;
  }

  constant(tensor: Tensor): string {
    const name = this.fresh(STEM);
    this.constants.push({ ...tensor, name });
    return name;
  }

  reshape(input: string, dims: readonly number[]): string {
    return this.add("Reshape", [input, this.constant(intsTensor(DataType.INT64, [dims.length], dims))]);
  }

  cast(input: string, to: number): string {
    return this.add("Cast", [input], { to: { type: "int", value: to } });
  }

  /** The first `count` elements of a vector. */
  firstOf(input: string, count: number): string {
    if (this.opset < 10) {
      return this.add("Slice", [input], {
        axes: { type: "ints", value: [0] },
        starts: { type: "ints", value: [0] },
        ends: { type: "ints", value: [count] },
      });
    }
    const index = (value: number) => this.constant(intsTensor(DataType.INT64, [1], [value]));
    return this.add("Slice", [input, index(0), index(count)]);
  }
}

/** A constant of integers, without a name. */
export function intsTensor(
  dataType: typeof DataType.INT32 | typeof DataType.INT64,
  dims: readonly number[],
  values: readonly number[],
): Tensor {
  const data = dataType === DataType.INT32 ? Int32Array.from(values) : BigInt64Array.from(values, BigInt);
  return tensorOf("", { dataType, dims, data });
}
