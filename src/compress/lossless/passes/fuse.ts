import { DataType } from "../../../onnx/data-type.ts";
import { floatAttribute, intAttribute } from "../../../onnx/edit.ts";
import type { Node } from "../../../onnx/model.ts";
import type { TensorValue } from "../../../onnx/tensor-value.ts";
import { type Affine, foldAffine, type LinearLayer, linearLayer } from "../layer.ts";
import { constantValue, isStandard, NEWEST_OPSET, type Pass, type Rewriting } from "../pass.ts";
import type { Scope } from "../scope.ts";
import { initializerBytes, nodeBytes } from "../size.ts";

/**
 * A BatchNormalization (inference), or a constant that is added, subtracted, multiplied or divided per channel,
 * after Conv, ConvTranspose, Gemm or MatMul goes into the layer's weight and bias.
 */
export const foldAffineMaps: Pass = {
  name: "fold-affine",
  opsets: [7, NEWEST_OPSET],
  operators: ["Conv", "ConvTranspose", "Gemm", "MatMul"],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index] of scope.nodes()) while (await foldNext(scope, rewriting, index)) changes++;
    return changes;
  },
};

async function foldNext(scope: Scope, rewriting: Rewriting, index: number): Promise<boolean> {
  const layer = linearLayer(scope, rewriting, index);
  const made = layer?.node.outputs[0];
  const next = made ? scope.soleUser(made) : undefined;
  if (!layer || !made || !next) return false;
  const affine = isStandard(next.node, "BatchNormalization")
    ? await batchNorm(scope, rewriting, next.node, layer.channels)
    : await arithmetic(scope, rewriting, next.node, made, layer);
  const [output, ...others] = next.node.outputs;
  if (!affine || !output || others.some((name) => name && scope.isUsed(name))) return false;
  const saved = nodeBytes(next.node) + constantBytes(scope, next.node, next.index);
  const folded = await foldAffine(scope, rewriting, layer, affine, output, saved);
  if (!folded) return false;
  scope.remove(next.index);
  scope.replace(index, folded);
  return true;
}

/** Bytes of the constants that only this node uses. */
function constantBytes(scope: Scope, node: Node, index: number): number {
  return [...new Set(node.inputs)].reduce((sum, name) => {
    const tensor = scope.ownConstant(name);
    const alone =
      tensor && scope.uses(name).size === 1 && scope.uses(name).has(index) && !scope.isOutput(name);
    return sum + (alone ? initializerBytes(tensor) : 0);
  }, 0);
}

/** scale / √(variance + ε) and bias − mean · that. Ioffe and Szegedy 2015, with the moving statistics. */
async function batchNorm(
  scope: Scope,
  rewriting: Rewriting,
  node: Node,
  channels: number,
): Promise<Affine | null> {
  if (intAttribute(node, "training_mode", 0) || !intAttribute(node, "spatial", 1)) return null;
  // Up to opset 13 further outputs are what asks for training.
  if (node.outputs.length > 1) return null;
  const values: Float32Array[] = [];
  for (const name of node.inputs.slice(1, 5)) {
    const value = await constantValue(scope, rewriting, name, 1 << 20);
    if (value?.dataType !== DataType.FLOAT || value.data.length !== channels) return null;
    values.push(value.data as Float32Array);
  }
  const [gamma, beta, mean, variance] = values;
  if (!gamma || !beta || !mean || !variance) return null;
  const epsilon = floatAttribute(node, "epsilon", Math.fround(1e-5));
  const scale = Float64Array.from(gamma, (g, c) => g / Math.sqrt(variance[c]! + epsilon));
  const shift = Float64Array.from(beta, (b, c) => b - mean[c]! * scale[c]!);
  return { scale, shift };
}

/** One operand the layer's output, the other a constant that is the same for all entries of a channel. */
async function arithmetic(
  scope: Scope,
  rewriting: Rewriting,
  node: Node,
  made: string,
  layer: LinearLayer,
): Promise<Affine | null> {
  if (!isStandard(node, "Add", "Sub", "Mul", "Div")) return null;
  const right = node.inputs[0] === made;
  const value = await constantValue(scope, rewriting, node.inputs[right ? 1 : 0], 1 << 20);
  const operand = value && perChannel(value, layer);
  if (!operand) return null;
  const { channels } = layer;
  switch (node.opType) {
    case "Add":
      return { shift: operand };
    case "Sub":
      return right
        ? { shift: operand.map((x) => -x) }
        : { scale: new Float64Array(channels).fill(-1), shift: operand };
    case "Mul":
      return { scale: operand };
    default:
      return right ? { scale: operand.map((x) => 1 / x) } : null;
  }
}

/** The constant spread over the channels, [C]; null when it varies otherwise, or would raise the rank. */
function perChannel({ dataType, dims, data }: TensorValue, layer: LinearLayer): Float64Array | null {
  if (dataType !== DataType.FLOAT) return null;
  const entries = data as Float32Array;
  const { channels, rank, axis } = layer;
  if (dims.length > (rank ?? 1)) return null;
  if (entries.length === 1) return new Float64Array(channels).fill(entries[0]!);
  // Counted from the back, as broadcasting does.
  const at = axis === -1 ? 1 : rank! - 1;
  const position = dims.length - at;
  if (entries.length !== channels || dims[position] !== channels) return null;
  return Float64Array.from(entries);
}
