import type { Dim, Node } from "../../onnx/model.ts";
import type { Axes, Axis, Channels } from "./channels.ts";

/**
 * Says which channels of a node's inputs and outputs belong together, and what its outputs' axes are; an output that
 * it leaves out is not followed. What a rule cannot follow it fixes, with a reason.
 */
export type Rule = (node: NodeAxes) => readonly (Axes | undefined)[];

export type RuleTable = Readonly<Record<string, Rule>>;

/** A list of numbers in the model one of which counts channels: an entry of a Reshape target, a Split's sizes, … */
export interface CountedList {
  /** Of the node: an input that is a list, or an attribute. */
  readonly place: { readonly input: number } | { readonly attribute: string };
  /** All of the list as it is now, with every number written out. A single number for an attribute of type int. */
  readonly list: readonly number[];
  /** The entry that falls by one for each channel that goes; null where the list has only to be written out. */
  readonly entry: number | null;
  /** The channels that it counts. */
  readonly axis: Int32Array;
}

/** A node as a rule sees it. */
export interface NodeAxes {
  readonly node: Node;
  /** Of the standard domain. */
  readonly opset: number;
  readonly channels: Channels;
  has(input: number): boolean;
  /** undefined where not even the rank is known. */
  axes(input: number): Axes | undefined;
  axis(input: number, axis: number): Axis | undefined;
  dims(input: number): readonly Dim[] | undefined;
  outputDims(output: number): readonly Dim[] | undefined;
  /** Whether the input is stored in the model as it is. */
  isStored(input: number): boolean;
  /** Integers of a small stored list, or what a computed one is known to be; null where it is not known. */
  numbers(input: number): readonly number[] | null;
  /** Entries of a computed list that are constants, whatever is fed; null for the others, or where its length is unknown. */
  constantEntries(input: number): readonly (number | null)[] | null;
  /** Nodes that read an output, and at which input; null where the graph gives it out or a subgraph reads it. */
  users(output: string): readonly { readonly node: NodeAxes; readonly input: number }[] | null;
  /** Fixes every axis of the input, or of all inputs. */
  fix(reason: string, input?: number): void;
  /** Notes a number of `at` (this node where it is left out) that counts channels. */
  counts(list: CountedList, at?: NodeAxes): void;
  /** Which of several axes a split one is followed along; where nothing of it can go, the next one in the next round. */
  choose(candidates: readonly number[], axis: (candidate: number) => Int32Array): Int32Array;
}

/** An output of the rank with nothing to follow. */
export function opaque(rank: number): Axis[] {
  return new Array<Axis>(rank).fill(null);
}

/** "ReduceMean computes over channels": how reasons begin. */
export function says(node: Node, what: string): string {
  return `${node.opType}${node.name ? ` "${node.name}"` : ""} ${what}`;
}
