import { DataType } from "../../src/onnx/data-type.ts";
import type { AttributeValue, Dim, Model, Node, Tensor, ValueInfo } from "../../src/onnx/model.ts";

/** A Keras layer as tfjs stores it in model.json. */
export interface KerasLayer {
  readonly class_name: string;
  readonly config: {
    readonly name: string;
    readonly kernel_size?: readonly number[];
    readonly strides?: readonly number[];
    readonly pool_size?: readonly number[];
    readonly dilation_rate?: readonly number[];
    readonly padding?: "same" | "valid";
    readonly activation?: string;
    readonly epsilon?: number;
    readonly size?: readonly [number, number];
  };
  readonly inbound_nodes: readonly (readonly (readonly [string, number, number, unknown])[])[];
}

export interface KerasModel {
  readonly name: string;
  readonly layers: readonly KerasLayer[];
  /** By tfjs's name ("conv2d_1/kernel"). */
  readonly weights: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
  /** NCHW. */
  readonly inputShape: readonly Dim[];
  readonly outputShape: readonly Dim[];
}

/**
 * A functional Keras model as ONNX, opset 13: NHWC becomes NCHW by transposing the kernels, "same" becomes explicit
 * pads, and each layer stays a node of its own (BatchNorm and activations are not fused).
 */
export function kerasToOnnx(model: KerasModel): Model {
  const nodes: Node[] = [];
  const initializers: Tensor[] = [];
  const weight = (name: string) => {
    const found = model.weights.get(name);
    if (found === undefined) throw new Error(`${model.name} has no weight ${name}`);
    return found;
  };
  const initializer = (name: string, dims: readonly number[], data: Float32Array) => {
    initializers.push(floatTensor(name, dims, data));
    return name;
  };
  const vector = (name: string) => initializer(name, weight(name).shape, weight(name).data);
  const add = (
    opType: string,
    name: string,
    inputs: string[],
    attributes: Record<string, AttributeValue> = {},
  ) => {
    nodes.push({
      name,
      opType,
      domain: "",
      inputs,
      outputs: [name],
      attributes: Object.entries(attributes).map(([key, value]) => ({ name: key, value })),
    });
    return name;
  };
  const activate = (activation: string | undefined, name: string, input: string) => {
    if (activation === undefined || activation === "linear") return;
    if (activation === "relu") add("Relu", name, [input]);
    else if (activation === "softmax") add("Softmax", name, [input], { axis: int(1) });
    else throw new Error(`activation ${activation} is not converted`);
  };

  for (const { class_name: kind, config, inbound_nodes } of model.layers) {
    const { name } = config;
    const inputs = (inbound_nodes[0] ?? []).map(([from]) => from);
    const fused = config.activation !== undefined && config.activation !== "linear" && kind !== "Activation";
    const output = fused ? `${name}/linear` : name;
    switch (kind) {
      case "InputLayer":
        break;
      case "Conv2D": {
        const { shape, data } = weight(`${name}/kernel`);
        const kernel = initializer(
          `${name}/kernel`,
          [shape[3]!, shape[2]!, shape[0]!, shape[1]!],
          toOihw(shape, data),
        );
        const bias = model.weights.has(`${name}/bias`) ? [vector(`${name}/bias`)] : [];
        add("Conv", output, [...inputs, kernel, ...bias], window(config, shape.slice(0, 2)));
        break;
      }
      case "BatchNormalization": {
        const beta = weight(`${name}/beta`);
        const gamma = model.weights.has(`${name}/gamma`)
          ? vector(`${name}/gamma`)
          : initializer(`${name}/gamma`, beta.shape, new Float32Array(beta.data.length).fill(1));
        const rest = ["beta", "moving_mean", "moving_variance"].map((part) => vector(`${name}/${part}`));
        add("BatchNormalization", output, [...inputs, gamma, ...rest], {
          epsilon: { type: "float", value: config.epsilon! },
        });
        break;
      }
      case "Dense": {
        const { shape, data } = weight(`${name}/kernel`);
        const kernel = initializer(`${name}/kernel`, shape, data);
        add("Gemm", output, [...inputs, kernel, vector(`${name}/bias`)]);
        break;
      }
      case "MaxPooling2D":
        add("MaxPool", output, inputs, {
          kernel_shape: ints(config.pool_size!),
          ...window(config, config.pool_size!),
        });
        break;
      case "AveragePooling2D":
        // ONNX's default leaves the padding out of the average, as Keras does.
        add("AveragePool", output, inputs, {
          kernel_shape: ints(config.pool_size!),
          ...window(config, config.pool_size!),
        });
        break;
      case "Concatenate":
        add("Concat", output, inputs, { axis: int(1) });
        break;
      case "Add":
        add("Add", output, inputs);
        break;
      case "Activation":
        activate(config.activation, name, inputs[0]!);
        break;
      case "UpSampling2D": {
        const scales = initializer(`${name}/scales`, [4], new Float32Array([1, 1, ...config.size!]));
        add("Resize", output, [...inputs, "", scales], {
          mode: text("nearest"),
          coordinate_transformation_mode: text("asymmetric"),
          nearest_mode: text("floor"),
        });
        break;
      }
      case "Flatten":
        // Only after a pool to 1x1, where the order of channels and pixels does not matter.
        add("Flatten", output, inputs);
        break;
      case "Dropout":
        add("Identity", output, inputs);
        break;
      default:
        throw new Error(`layer ${kind} is not converted`);
    }
    if (fused) activate(config.activation, name, output);
  }

  return {
    irVersion: 8,
    opsetImports: [{ domain: "", version: 13 }],
    producerName: "hone-tests",
    graph: {
      name: model.name,
      nodes,
      initializers,
      sparseInitializers: [],
      inputs: [floatValue(model.layers[0]!.config.name, model.inputShape)],
      outputs: [floatValue(model.layers.at(-1)!.config.name, model.outputShape)],
      valueInfo: [],
    },
    metadata: [],
    functions: [],
  };
}

/** Strides, dilations and pads of a window; the pads of "same" are the same at every size when the stride is 1. */
function window(config: KerasLayer["config"], kernel: readonly number[]): Record<string, AttributeValue> {
  const strides = config.strides ?? [1, 1];
  const dilations = config.dilation_rate ?? [1, 1];
  const pads = kernel.map((size, axis) => {
    if (config.padding !== "same") return 0;
    if (strides[axis] !== 1) throw new Error(`${config.name}: "same" with a stride is not converted`);
    return (size - 1) * dilations[axis]!;
  });
  return {
    strides: ints(strides),
    pads: ints([...pads.map((pad) => Math.floor(pad / 2)), ...pads.map((pad) => Math.ceil(pad / 2))]),
    ...(config.dilation_rate ? { dilations: ints(dilations) } : {}),
  };
}

/** Keras's [height, width, in, out] as ONNX's [out, in, height, width]. */
function toOihw(shape: readonly number[], data: Float32Array): Float32Array {
  const [height, width, inputs, outputs] = shape as [number, number, number, number];
  const result = new Float32Array(data.length);
  let at = 0;
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let yx = 0; yx < height * width; yx++) result[at++] = data[(yx * inputs + i) * outputs + o]!;
    }
  }
  return result;
}

function floatTensor(name: string, dims: readonly number[], data: Float32Array): Tensor {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { name, dataType: DataType.FLOAT, dims, data: { kind: "raw", bytes } };
}

function floatValue(name: string, shape: readonly Dim[]): ValueInfo {
  return { name, type: { kind: "tensor", dataType: DataType.FLOAT, shape } };
}

const int = (value: number): AttributeValue => ({ type: "int", value });
const ints = (value: readonly number[]): AttributeValue => ({ type: "ints", value });
const text = (value: string): AttributeValue => ({ type: "string", value });
