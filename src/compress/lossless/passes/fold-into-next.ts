import { DataType } from "../../../onnx/data-type.ts";
import { floatAttribute, intAttribute, intsAttribute, stringAttribute } from "../../../onnx/edit.ts";
import type { Node } from "../../../onnx/model.ts";
import { compactTensor, scaledTensor } from "../derived.ts";
import { constantValue, isStandard, NEWEST_OPSET, type Pass, type Rewriting } from "../pass.ts";
import type { Scope } from "../scope.ts";

/**
 * A factor, the same for all entries, in front of a convolution or a product with a constant matrix goes into the
 * weight, and a summand in front of one without margins into the bias. A factor goes past a summand: a·x + b is
 * a·(x + b/a).
 */
export const foldIntoNext: Pass = {
  name: "fold-into-next",
  opsets: [7, NEWEST_OPSET],
  operators: ["Conv", "Gemm", "MatMul"],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index] of scope.nodes()) while (await foldOne(scope, rewriting, index)) changes++;
    return changes;
  },
};

/** A map of every entry by one constant: x · factor, or x + summand. */
type Uniform = { readonly input: string; readonly at: number } & (
  | { readonly kind: "factor"; readonly value: number; readonly constant: string }
  | { readonly kind: "summand"; readonly value: number; readonly constant: string }
);

async function foldOne(scope: Scope, rewriting: Rewriting, index: number): Promise<boolean> {
  const layer = scope.node(index);
  if (!layer || !isStandard(layer, "Conv", "Gemm", "MatMul")) return false;
  if (!weightIsOwn(scope, layer, index)) return false;
  const before = await uniformMap(scope, rewriting, layer.inputs[0]!, index);
  if (!before) return false;
  if (before.kind === "factor") {
    if (endsGelu(scope, before.input) || !scaleWeight(scope, layer, before.value)) return false;
    scope.replace(index, { ...layer, inputs: [before.input, ...layer.inputs.slice(1)] });
    scope.remove(before.at);
    return true;
  }
  const shifted = await withShiftedBias(scope, rewriting, layer, index, before.value);
  if (shifted) {
    scope.replace(index, { ...shifted, inputs: [before.input, ...shifted.inputs.slice(1)] });
    scope.remove(before.at);
    return true;
  }
  return pastSummand(scope, rewriting, layer, index, before);
}

/**
 * Whether the value is x · (1 + erf(…)) or x · (1 + tanh(…)), which together with the factor ½ after it makes a GELU:
 * runtimes fuse it whole, and would not without its factor.
 */
function endsGelu(scope: Scope, name: string): boolean {
  const maker = (value: string, ...opTypes: string[]) => {
    const node = scope.producerNode(value);
    return node && isStandard(node, ...opTypes) ? node : undefined;
  };
  const sums = maker(name, "Mul")?.inputs.map((operand) => maker(operand, "Add")) ?? [];
  return sums.some((sum) => sum?.inputs.some((operand) => maker(operand, "Erf", "Tanh")));
}

/** The layer's weight is a float constant of this graph that nothing else uses, so that it can be written over. */
function weightIsOwn(scope: Scope, layer: Node, index: number): boolean {
  const weight = scope.ownConstant(layer.inputs[1] ?? "");
  return weight?.dataType === DataType.FLOAT && scope.feedsOnly(weight.name, index);
}

/** The node in front of the layer, or of another such node, that only it uses. */
async function uniformMap(
  scope: Scope,
  rewriting: Rewriting,
  name: string,
  user: number,
): Promise<Uniform | null> {
  const at = scope.producer(name);
  const node = at === undefined ? undefined : scope.node(at);
  if (at === undefined || !node || !scope.feedsOnly(name, user)) return null;
  if (!isStandard(node, "Mul", "Div", "Add", "Sub")) return null;
  const commutes = isStandard(node, "Mul", "Add");
  for (const [constant, other] of commutes ? SIDES : SIDES.slice(0, 1)) {
    const [own, input] = [node.inputs[constant]!, node.inputs[other]!];
    const read = await constantValue(scope, rewriting, own, 1);
    if (read?.dataType !== DataType.FLOAT || read.data.length !== 1) continue;
    const rank = rewriting.fact(scope, input)?.dims?.length;
    if (read.dims.length > 0 && (rank === undefined || read.dims.length > rank)) continue;
    const number = read.data[0] as number;
    const base = { input, at, constant: own };
    if (isStandard(node, "Mul", "Div")) {
      const value = node.opType === "Mul" ? number : 1 / number;
      return { ...base, kind: "factor", value };
    }
    return { ...base, kind: "summand", value: node.opType === "Add" ? number : -number };
  }
  return null;
}

const SIDES = [
  [1, 0],
  [0, 1],
] as const;

/** Factors past this, or below its inverse, may take weights out of the normal range of floats. */
const LARGEST_FACTOR = 2 ** 20;

function scaleWeight(scope: Scope, layer: Node, factor: number): boolean {
  if (!(Math.abs(factor) <= LARGEST_FACTOR && Math.abs(factor) >= 1 / LARGEST_FACTOR)) return false;
  const weight = scope.ownConstant(layer.inputs[1]!)!;
  const scaled = scaledTensor(weight, weight.name, () => factor);
  if (!scaled) return false;
  scope.addInitializer(scaled);
  return true;
}

/** The layer with Σ weight · summand added to its bias; null where margins of zeros would be shifted as well. */
async function withShiftedBias(
  scope: Scope,
  rewriting: Rewriting,
  layer: Node,
  index: number,
  summand: number,
): Promise<Node | null> {
  if (!isStandard(layer, "Conv", "Gemm") || !hasNoMargins(layer)) return null;
  const weight = await rewriting.read(scope.ownConstant(layer.inputs[1]!)!);
  if (!weight || weight.dims.length < 2) return null;
  const [rows, columns] = [weight.dims[0]!, weight.data.length / weight.dims[0]!];
  const across = layer.opType === "Gemm" && !intAttribute(layer, "transB", 0);
  const channels = across ? columns : rows;
  const gain = layer.opType === "Gemm" ? floatAttribute(layer, "alpha", 1) : 1;
  const sums = new Float64Array(channels);
  (weight.data as Float32Array).forEach((entry, i) => {
    const channel = across ? i % columns : Math.floor(i / columns);
    sums[channel] = sums[channel]! + entry;
  });
  const old = layer.inputs[2];
  const bias = old ? await constantValue(scope, rewriting, old, 1 << 20) : null;
  if (old && (bias?.dataType !== DataType.FLOAT || bias.data.length !== channels)) return null;
  if (bias && (bias.dims.length !== 1 || floatAttribute(layer, "beta", 1) !== 1)) return null;
  // A new bias would make the file larger than the node in front does.
  if (!old || !scope.ownConstant(old) || !scope.feedsOnly(old, index)) return null;
  const data = Float32Array.from(
    sums,
    (sum, channel) => (bias!.data[channel] as number) + gain * summand * sum,
  );
  if (!data.every(Number.isFinite)) return null;
  scope.addInitializer(compactTensor(old, { dataType: DataType.FLOAT, dims: [channels], data }));
  return layer;
}

function hasNoMargins(layer: Node): boolean {
  if (layer.opType === "Gemm") return intAttribute(layer, "transA", 0) === 0;
  const auto = stringAttribute(layer, "auto_pad", "NOTSET");
  if (auto === "VALID") return true;
  return auto === "NOTSET" && intsAttribute(layer, "pads", []).every((size) => size === 0);
}

/** Takes the factor of a·x + b into the layer's weight and leaves x + b/a. */
async function pastSummand(
  scope: Scope,
  rewriting: Rewriting,
  layer: Node,
  index: number,
  summand: Uniform,
): Promise<boolean> {
  const factor = await uniformMap(scope, rewriting, summand.input, summand.at);
  const add = scope.node(summand.at)!;
  if (factor?.kind !== "factor" || !isStandard(add, "Add", "Sub")) return false;
  const value = Math.fround(summand.value / factor.value);
  if (!Number.isFinite(value) || !scaleWeight(scope, layer, factor.value)) return false;
  const name = rewriting.fresh(summand.constant);
  const data = Float32Array.of(value);
  scope.addInitializer(compactTensor(name, { dataType: DataType.FLOAT, dims: [], data }));
  scope.replace(summand.at, { ...add, opType: "Add", inputs: [factor.input, name], attributes: [] });
  scope.remove(factor.at);
  scope.replace(index, { ...layer });
  return true;
}
