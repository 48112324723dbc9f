import type { Node } from "../../onnx/model.ts";
import { renameValues } from "../../onnx/rename.ts";
import { Captures } from "../../onnx/scope.ts";
import { type Box, type Range, wholeBox } from "./box.ts";
import type { Interval } from "./work.ts";

/** What one device does of a node. */
export interface Part {
  readonly reads: readonly Read[];
  /** Of each of the node's outputs. */
  readonly outputs: readonly Box[];
  /** Whether the outputs are sums over a part of the input channels only. */
  readonly partial: boolean;
  /** The node in the device's own graph: `inputs` are the names of the reads there. */
  nodes(inputs: readonly string[], outputs: readonly string[]): Node[];
}

/** A value or a constant that a part reads, and how much of it. */
export interface Read {
  readonly name: string;
  /** Place among the node's inputs; null for what a body inside the node reads. */
  readonly slot: number | null;
  /** [] for a whole value whose size is not known. */
  readonly box: Box;
  /** Zeros in its place: a bias that another device adds. */
  readonly zeroed?: true;
}

/** Sizes by name; null where not known. */
export type DimsOf = (name: string) => readonly number[] | null;

/** A layer's node, and what it needs to be divided. */
export interface LayerNode {
  readonly node: Node;
  readonly dimsOf: DimsOf;
  readonly isConstant: (name: string) => boolean;
}

/** The node as it is, on whole tensors. */
export function wholePart(node: Node, dimsOf: DimsOf): Part {
  const whole = (name: string): Box => wholeBox(dimsOf(name) ?? []);
  const reads = [...new Captures().ofNode(node)].map((name) => ({
    name,
    slot: node.inputs.indexOf(name) < 0 ? null : node.inputs.indexOf(name),
    box: whole(name),
  }));
  return {
    reads,
    outputs: node.outputs.map(whole),
    partial: false,
    nodes(inputs, outputs) {
      const names = new Map(reads.map(({ name }, i) => [name, inputs[i] ?? name]));
      return [{ ...renameValues(node, names), outputs }];
    },
  };
}

/** A part that is the same node on slices. */
export function slicedPart(node: Node, reads: readonly Read[], output: Box, partial = false): Part {
  return {
    reads,
    outputs: node.outputs.map(() => output),
    partial,
    nodes: (inputs, outputs) => [{ ...node, inputs: inSlots(node, reads, inputs), outputs }],
  };
}

/** The node's inputs with the reads at their places and nothing where nothing is read. */
function inSlots(node: Node, reads: readonly Read[], names: readonly string[]): string[] {
  const bySlot = new Map(reads.map(({ slot }, i) => [slot, names[i] ?? ""]));
  const inputs = node.inputs.map((_, slot) => bySlot.get(slot) ?? "");
  while (inputs.at(-1) === "") inputs.pop();
  return inputs;
}

/** The whole tensor but for the range of one axis. */
export function along(dims: readonly number[], axis: number, range: Range): Box {
  return wholeBox(dims).map((own, at) => (at === axis ? range : own));
}

/** The units that an interval takes: neighbours round the bound between them alike, so that nothing is left over. */
export function unitsOf({ from, to }: Interval, units: number): Range {
  return { from: Math.round(from * units), to: Math.round(to * units) };
}
