import type { Node } from "../../onnx/model.ts";
import type { Box, Range } from "./box.ts";
import type { Part } from "./part.ts";

/**
 * A plan as something that can be run: stages in order, each of collectives and then of the devices' own graphs. In every
 * box of this file the first axis counts samples, the others are the tensor's.
 */
export interface Program {
  readonly devices: readonly string[];
  readonly samples: number;
  readonly stages: readonly Stage[];
  /** Values that the model answers with and that are computed. */
  readonly outputs: readonly string[];
  /** Layers and joins that every device runs whole where the plan divides them. */
  readonly undivided: readonly string[];
  /** Planned layers that are not in the nodes that run. */
  readonly absent: readonly string[];
}

export interface Stage {
  readonly collectives: readonly Collective[];
  readonly shards: readonly Shard[];
}

/** Values that go from device to device. */
export interface Collective {
  /** `sum` adds partial sums up; `gather` puts slices together. */
  readonly kind: "sum" | "gather";
  readonly value: string;
  readonly results: readonly Result[];
}

/** What one device has afterwards, and of whom it gets the pieces; its own included. */
export interface Result {
  readonly device: number;
  readonly box: Box;
  readonly pieces: readonly Piece[];
}

export interface Piece {
  readonly from: number;
  readonly box: Box;
}

/** A graph that one or more devices run, each for its samples. */
export interface Shard {
  readonly devices: readonly { readonly device: number; readonly samples: Range }[];
  readonly nodes: readonly { readonly node: Node; readonly part: Part }[];
  /** Without the samples' axis. */
  readonly inputs: readonly Slice[];
  readonly outputs: readonly (Slice & { readonly partial: boolean })[];
}

/** Some of a value, and what the shard's graph calls it. */
export interface Slice {
  readonly value: string;
  readonly box: Box;
}
