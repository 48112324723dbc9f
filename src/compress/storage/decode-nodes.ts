import { DataType } from "../../onnx/data-type.ts";
import type { Node, SparseTensor, Tensor } from "../../onnx/model.ts";
import { tensorOf } from "../../onnx/tensor.ts";
import { elementCount } from "../../onnx/tensor-value.ts";
import { addDigits } from "./digits.ts";
import { intsTensor, Rebuilding } from "./rebuilding.ts";
import type { Decode, PartRole, StoredWeight } from "./stored-weight.ts";

/** What goes into the weight's graph in place of the weight. Nodes are in order. */
export interface WeightParts {
  readonly nodes: readonly Node[];
  readonly initializers: readonly Tensor[];
  readonly sparseInitializers: readonly SparseTensor[];
}

/**
 * The stored parts under their names, and the nodes that make the weight of them under its old name; no nodes where
 * the only part is the weight.
 *
 * @param outputName name of the weight
 * @param partNames names of the parts in order; unused where the only part takes the weight's name
 * @param fresh new value names
 * @param opset of the standard domain, at least `stored.minOpset`
 */
export function decodeNodes(
  stored: StoredWeight,
  outputName: string,
  partNames: readonly string[],
  fresh: (stem: string) => string,
  opset: number,
): WeightParts {
  if (opset < stored.minOpset) {
    throw new RangeError(`this storage needs opset ${stored.minOpset}, the model has ${opset}`);
  }
  const to = new Rebuilding(opset, fresh);
  const names = new Map(stored.parts.map(({ role }, i) => [role, partNames[i]!]));
  const last = rebuild(stored.decode, to, names);
  const whole = to.nodes.length === 0;
  const initializers: Tensor[] = [];
  const sparseInitializers: SparseTensor[] = [];
  for (const [i, { tensor }] of stored.parts.entries()) {
    const name = whole ? outputName : partNames[i]!;
    if ("values" in tensor) sparseInitializers.push({ ...tensor, values: { ...tensor.values, name } });
    else initializers.push({ ...tensor, name });
  }
  return {
    nodes: to.nodes.map((node) => (node.outputs[0] === last ? { ...node, outputs: [outputName] } : node)),
    initializers: [...initializers, ...to.constants],
    sparseInitializers,
  };
}

/** Adds all nodes and answers the name that the last one gives. */
export function rebuild(decode: Decode, to: Rebuilding, names: ReadonlyMap<PartRole, string>): string {
  const { dims, view, placement } = decode;
  if (placement.kind === "dequantize") {
    return castTo(to, DataType.FLOAT, decode.dataType, dequantize(decode, to, names));
  }
  const type = elementType(decode);
  let value = place(decode, to, names);
  decode.factors.forEach(({ half }, i) => {
    const factor = names.get(`factor${i}`)!;
    value = to.add("Mul", [value, half ? to.cast(factor, DataType.FLOAT) : factor]);
  });
  if (!sameDims(view, dims)) value = to.reshape(value, dims);
  return castTo(to, type, decode.dataType, value);
}

function castTo(to: Rebuilding, from: number, dataType: number, value: string): string {
  return from === dataType ? value : to.cast(value, dataType);
}

/** Type in which the elements are placed and multiplied. */
export function elementType({ elements }: Decode): number {
  return elements.kind === "numbers" ? elements.dataType : DataType.FLOAT;
}

function place(decode: Decode, to: Rebuilding, names: ReadonlyMap<PartRole, string>): string {
  const { placement, view } = decode;
  const count = elementCount(view);
  switch (placement.kind) {
    case "dense":
    case "sparse":
      return elementsOf(decode, to, names, view);
    case "mask": {
      const mask = addDigits(to, placement.digits, names.get("positions")!, [count]);
      const ordinal = to.add("CumSum", [mask, to.constant(intsTensor(DataType.INT32, [], [0]))]);
      const elements = elementsOf(decode, to, names, null);
      return to.reshape(to.add("Gather", [elements, to.add("Mul", [ordinal, mask])]), view);
    }
    case "gaps": {
      const { digits } = placement;
      const gaps = addDigits(to, digits, names.get("positions")!, [digits.count]);
      const positions = to.add("CumSum", [gaps, to.constant(intsTensor(DataType.INT32, [], [0]))]);
      const elements = elementsOf(decode, to, names, null);
      return to.reshape(
        to.add("ScatterElements", [zeros(to, count, elementType(decode)), positions, elements]),
        view,
      );
    }
    case "dequantize":
      throw new RangeError("DequantizeLinear places by itself");
  }
}

/** @param dims null for a vector of as many as are stored */
function elementsOf(
  { elements }: Decode,
  to: Rebuilding,
  names: ReadonlyMap<PartRole, string>,
  dims: readonly number[] | null,
): string {
  const part = names.get("elements")!;
  switch (elements.kind) {
    case "numbers":
      return part;
    case "integers":
      return to.cast(part, DataType.FLOAT);
    case "digits": {
      const { digits, halfLevels } = elements;
      const levels = names.get("levels")!;
      const indices = addDigits(to, digits, part, dims ?? [digits.count]);
      return to.add("Gather", [halfLevels ? to.cast(levels, DataType.FLOAT) : levels, indices]);
    }
  }
}

function zeros(to: Rebuilding, count: number, dataType: number): string {
  const shape = to.constant(intsTensor(DataType.INT64, [1], [count]));
  if (dataType === DataType.FLOAT) return to.add("ConstantOfShape", [shape]);
  const data = dataType === DataType.FLOAT16 ? new Uint16Array(1) : new Float64Array(1);
  const value = tensorOf("", { dataType, dims: [1], data });
  return to.add("ConstantOfShape", [shape], { value: { type: "tensor", value } });
}

/** Nothing may reshape the output: ONNX Runtime mishandles int8 constants before DequantizeLinear → Reshape. */
function dequantize(
  { placement, factors }: Decode,
  to: Rebuilding,
  names: ReadonlyMap<PartRole, string>,
): string {
  if (placement.kind !== "dequantize") throw new RangeError("no DequantizeLinear");
  const { axis, blockSize } = placement;
  const scale = names.get("factor0")!;
  const inputs = [names.get("elements")!, factors[0]!.half ? to.cast(scale, DataType.FLOAT) : scale];
  return to.add("DequantizeLinear", inputs, {
    axis: { type: "int", value: axis },
    ...(blockSize === null ? {} : { block_size: { type: "int", value: blockSize } }),
  });
}

function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** Bytes of nodes and constants in the file, within a few: what storing a weight in parts costs besides the parts. */
export function overheadBytes(decode: Decode, opset: number): number {
  let names = 0;
  const to = new Rebuilding(opset, () => `w${++names}`);
  const roles: PartRole[] = [
    "elements",
    "levels",
    "positions",
    ...decode.factors.map((_, i) => `factor${i}` as const),
  ];
  rebuild(decode, to, new Map(roles.map((role, i) => [role, `p${i}`])));
  const text = (one: string) => one.length + 2;
  let bytes = 0;
  for (const node of to.nodes) {
    bytes += text("") + text(node.opType);
    for (const name of [...node.inputs, ...node.outputs]) bytes += text(name);
    for (const { name } of node.attributes) bytes += text(name) + 8;
  }
  for (const { name, dims, data } of to.constants) {
    bytes += text("") + text(name) + 2 * dims.length + 4 + ("bytes" in data ? data.bytes.length : 0);
  }
  return bytes;
}
