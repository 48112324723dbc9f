import { DataType } from "../../onnx/data-type.ts";
import type { AttributeValue, Dim, Model, Node, Tensor } from "../../onnx/model.ts";

/** A weight of which only the shape exists. */
function shapeOnly(name: string, dims: readonly number[]): Tensor {
  return {
    name,
    dataType: DataType.FLOAT,
    dims,
    data: { kind: "external", location: "weights.bin", span: null },
  };
}

export interface Window {
  readonly kernel: number;
  readonly stride?: number;
  readonly padding?: number;
}

/** Writes shape-only ONNX models, one operator after the other. Values are named after the node that makes them. */
export class ShapeOnlyBuilder {
  readonly #name: string;
  readonly #nodes: Node[] = [];
  readonly #initializers: Tensor[] = [];
  readonly #inputs: { name: string; dataType: number; shape: readonly Dim[] }[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  input(name: string, shape: readonly Dim[], dataType: number = DataType.FLOAT): string {
    this.#inputs.push({ name, dataType, shape });
    return name;
  }

  weight(name: string, dims: readonly number[]): string {
    this.#initializers.push(shapeOnly(name, dims));
    return name;
  }

  /** int64 values that shape inference has to read. */
  sizes(name: string, values: readonly number[]): string {
    const bytes = new Uint8Array(values.length * 8);
    const view = new DataView(bytes.buffer);
    for (const [i, value] of values.entries()) view.setBigInt64(i * 8, BigInt(value), true);
    this.#initializers.push({
      name,
      dataType: DataType.INT64,
      dims: [values.length],
      data: { kind: "raw", bytes },
    });
    return name;
  }

  node(
    name: string,
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    outputs: readonly string[] = [name],
  ): string {
    this.#nodes.push({
      name,
      opType,
      domain: "",
      inputs,
      outputs,
      attributes: Object.entries(attributes).map(([attribute, value]) => ({ name: attribute, value })),
    });
    return outputs[0] as string;
  }

  /** Square convolution. */
  conv(
    name: string,
    x: string,
    from: number,
    to: number,
    { kernel, stride = 1, padding = 0 }: Window,
  ): string {
    const weight = this.weight(`${name}.weight`, [to, from, kernel, kernel]);
    return this.node(name, "Conv", [x, weight], {
      kernel_shape: ints(kernel, kernel),
      strides: ints(stride, stride),
      pads: ints(padding, padding, padding, padding),
    });
  }

  maxPool(name: string, x: string, { kernel, stride = kernel, padding = 0 }: Window): string {
    return this.node(name, "MaxPool", [x], {
      kernel_shape: ints(kernel, kernel),
      strides: ints(stride, stride),
      pads: ints(padding, padding, padding, padding),
    });
  }

  /** Fully connected layer of a matrix [batch, from]. */
  gemm(name: string, x: string, from: number, to: number): string {
    const weight = this.weight(`${name}.weight`, [to, from]);
    return this.node(name, "Gemm", [x, weight], { transB: { type: "int", value: 1 } });
  }

  /** Fully connected layer of vectors [batch, steps, from]. */
  linear(name: string, x: string, from: number, to: number): string {
    return this.node(name, "MatMul", [x, this.weight(`${name}.weight`, [from, to])]);
  }

  relu(x: string): string {
    return this.node(`${x}.relu`, "Relu", [x]);
  }

  flatten(x: string): string {
    return this.node(`${x}.flatten`, "Flatten", [x], { axis: { type: "int", value: 1 } });
  }

  layerNorm(name: string, x: string, width: number): string {
    const scale = this.weight(`${name}.scale`, [width]);
    const bias = this.weight(`${name}.bias`, [width]);
    return this.node(name, "LayerNormalization", [x, scale, bias], { axis: { type: "int", value: -1 } });
  }

  /** To constant sizes; 0 keeps the axis. */
  reshape(name: string, x: string, sizes: readonly number[]): string {
    return this.node(name, "Reshape", [x, this.sizes(`${name}.sizes`, sizes)]);
  }

  transpose(name: string, x: string, ...order: number[]): string {
    return this.node(name, "Transpose", [x], { perm: ints(...order) });
  }

  build(output: string): Model {
    return {
      irVersion: 9,
      opsetImports: [{ domain: "", version: 20 }],
      producerName: "hone zoo",
      graph: {
        name: this.#name,
        nodes: this.#nodes,
        initializers: this.#initializers,
        sparseInitializers: [],
        inputs: this.#inputs.map(({ name, dataType, shape }) => ({
          name,
          type: { kind: "tensor", dataType, shape },
        })),
        outputs: [{ name: output, type: { kind: "tensor", dataType: DataType.FLOAT } }],
        valueInfo: [],
      },
      metadata: [],
      functions: [],
    };
  }
}

function ints(...value: number[]): AttributeValue {
  return { type: "ints", value };
}
