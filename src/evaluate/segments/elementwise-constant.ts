import { rawPayload } from "../../onnx/detach.ts";
import { intAttribute, intsAttribute } from "../../onnx/edit.ts";
import type { Node, Tensor } from "../../onnx/model.ts";
import { type Bytes, byteLength } from "../../onnx/source.ts";
import { elementCount } from "../../onnx/tensor-value.ts";
import { bytesOfElements } from "./value-bytes.ts";

/** What makes a name: a stored tensor, or a node. */
export type Sources = (name: string) => Tensor | Node | undefined;

/** Some entries of a stored tensor along one axis, still unread; null where they cannot be told apart from others. */
export type PickEntries = (
  tensor: StoredTensor,
  axis: number,
) => { dims: readonly number[]; bytes: Bytes } | null;

/** A tensor whose payload lies as raw_data has it. */
export interface StoredTensor {
  readonly tensor: Tensor;
  readonly payload: Bytes;
}

/** New tensors and nodes, in an order in which they can run. */
export interface Parts {
  readonly tensors: Tensor[];
  readonly nodes: Node[];
  /** Gives names that nothing else has. */
  fresh(stem: string): string;
}

/**
 * A constant that is stored as it is, or computed of stored tensors entry by entry: cast, scaled, dequantised, transposed.
 * Any part of it along an axis can be had from the same part of what is stored.
 */
export interface ElementwiseConstant {
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly number[];
  /** Of what is stored of it, and of what the runtime computes of that when it loads the model. */
  readonly bytes: number;
  /** Of what it computes in every run: DequantizeLinear, and what follows it, is not folded. */
  readonly passing: number;
  /** What it is computed from; itself where it is stored as it is. */
  readonly stored: readonly Tensor[];
  /**
   * Adds what computes a part of it along an axis.
   * @returns the part's name; null where it cannot be computed alone
   */
  slice(axis: number, pick: PickEntries, parts: Parts): string | null;
}

/** null where the name is none. */
export function elementwiseConstant(name: string, sources: Sources): ElementwiseConstant | null {
  const source = sources(name);
  if (source === undefined) return null;
  if (!("opType" in source)) return storedConstant(source);
  if (source.domain !== "") return null;
  switch (source.opType) {
    case "Cast":
      return castConstant(source, sources);
    case "Transpose":
      return transposedConstant(source, sources);
    case "Add":
    case "Sub":
    case "Mul":
    case "Div":
      return combinedConstant(source, sources);
    case "DequantizeLinear":
      return dequantizedConstant(source, sources);
    default:
      return null;
  }
}

function storedConstant(tensor: Tensor): ElementwiseConstant | null {
  const payload = rawPayload(tensor);
  if (!payload) return null;
  const { name, dataType, dims } = tensor;
  return {
    name,
    dataType,
    dims,
    bytes: byteLength(payload),
    passing: 0,
    stored: [tensor],
    slice(axis, pick, { tensors, fresh }) {
      const picked = pick({ tensor, payload }, axis);
      if (!picked) return null;
      const part = fresh("hone_weight");
      const data = { kind: "raw", bytes: picked.bytes } as const;
      tensors.push({ name: part, dataType, dims: picked.dims, data });
      return part;
    },
  };
}

function castConstant(node: Node, sources: Sources): ElementwiseConstant | null {
  const inner = elementwiseConstant(node.inputs[0]!, sources);
  return (
    inner &&
    computed(node, { dataType: intAttribute(node, "to", 0), dims: inner.dims }, [inner], (axis, ...how) => [
      inner.slice(axis, ...how),
    ])
  );
}

function transposedConstant(node: Node, sources: Sources): ElementwiseConstant | null {
  const inner = elementwiseConstant(node.inputs[0]!, sources);
  if (!inner) return null;
  const order = intsAttribute(
    node,
    "perm",
    inner.dims.map((_, axis) => inner.dims.length - 1 - axis),
  );
  const type = { dataType: inner.dataType, dims: order.map((axis) => inner.dims[axis]!) };
  return computed(node, type, [inner], (axis, ...how) => [inner.slice(order[axis]!, ...how)]);
}

function combinedConstant(node: Node, sources: Sources): ElementwiseConstant | null {
  const operands = node.inputs.map((name) => elementwiseConstant(name, sources));
  if (!operands.every((operand) => operand !== null)) return null;
  const rank = Math.max(...operands.map(({ dims }) => dims.length));
  const sizeOf = ({ dims }: ElementwiseConstant, axis: number) => dims[axis - rank + dims.length] ?? 1;
  const dims = Array.from({ length: rank }, (_, axis) =>
    Math.max(...operands.map((one) => sizeOf(one, axis))),
  );
  return computed(node, { dataType: operands[0]!.dataType, dims }, operands, (axis, ...how) =>
    operands.map((one) => {
      if (sizeOf(one, axis) === dims[axis]) return one.slice(axis - rank + one.dims.length, ...how);
      // The same for all parts; one that is computed would have to be computed in each.
      return one.stored[0]!.name === one.name ? one.name : null;
    }),
  );
}

function dequantizedConstant(node: Node, sources: Sources): ElementwiseConstant | null {
  const inputs = node.inputs.map((name) => (name === "" ? null : elementwiseConstant(name, sources)));
  const [codes, ...factors] = inputs;
  if (!codes || factors.some((factor) => !factor || factor.stored[0]!.name !== factor.name)) return null;
  const { dims } = codes;
  const along = (intAttribute(node, "axis", 1) + dims.length) % dims.length;
  const isBlocked = intAttribute(node, "block_size", 0) > 0;
  const { dataType } = factors[0]!;
  const operands = [codes, ...(factors as ElementwiseConstant[])];
  return computed(node, { dataType, dims }, operands, (axis, ...how) => {
    if (isBlocked && axis === along) return [null];
    return operands.map((one, place) => {
      const isVector = one.dims.length === 1 && one.dims[0]! > 1;
      if (place === 0 || isBlocked) return one.slice(axis, ...how);
      return isVector && axis === along ? one.slice(0, ...how) : one.name;
    });
  });
}

/** What a node computes entry by entry of its operands. */
function computed(
  node: Node,
  { dataType, dims }: { readonly dataType: number; readonly dims: readonly number[] },
  operands: readonly ElementwiseConstant[],
  slices: (axis: number, pick: PickEntries, parts: Parts) => readonly (string | null)[],
): ElementwiseConstant {
  const own = bytesOfElements(dataType, elementCount(dims));
  const sumOf = (figure: "bytes" | "passing") => operands.reduce((sum, one) => sum + one[figure], 0);
  const passes = node.opType === "DequantizeLinear" || sumOf("passing") > 0;
  return {
    name: node.outputs[0]!,
    dataType,
    dims,
    bytes: sumOf("bytes") + (passes ? 0 : own),
    passing: sumOf("passing") + (passes ? own : 0),
    stored: operands.flatMap(({ stored }) => stored),
    slice(axis, pick, parts) {
      const inputs = slices(axis, pick, parts);
      if (!inputs.every((input) => input !== null)) return null;
      const part = parts.fresh("hone_factor");
      parts.nodes.push({ ...node, name: "", inputs, outputs: [part] });
      return part;
    },
  };
}

/** A stored tensor seen along an axis: `outer` times `count` entries of `entryBytes` each; null where an entry is no whole bytes. */
export function alongAxis(
  { tensor, payload }: StoredTensor,
  axis: number,
): { readonly outer: number; readonly count: number; readonly entryBytes: number } | null {
  const outer = elementCount(tensor.dims.slice(0, axis));
  const count = tensor.dims[axis]!;
  const entryBytes = byteLength(payload) / outer / count;
  return Number.isInteger(entryBytes) ? { outer, count, entryBytes } : null;
}
