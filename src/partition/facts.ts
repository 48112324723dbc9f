import type { Mode } from "../../schemas/plan.ts";
import type { NetworkNode } from "./graph.ts";
import type { Ways } from "./layout.ts";
import { flopsOf, together, trafficOf } from "./shares.ts";
import type { DeviceClass, Hierarchy } from "./tree.ts";

/** A node's figures as the inner loops want them. */
export interface Facts {
  /** Bit t is set where type t splits the tensor, or the work. */
  readonly splits: {
    readonly input: number;
    readonly output: number;
    readonly weights: number;
    readonly work: number;
  };
  readonly units: readonly [number, number, number];
  /** FLOPs of a step. */
  readonly flops: number;
  /** Bytes from and to memory in a step. */
  readonly traffic: { readonly input: number; readonly output: number; readonly weights: number };
  /** FLOP/s and bytes/s of the single-device classes. */
  readonly flopsPerSecond: Float64Array;
  readonly bytesPerSecond: Float64Array;
}

export function factsOf(node: NetworkNode, hierarchy: Hierarchy, mode: Mode): Facts {
  const devices = hierarchy.levels[hierarchy.depth] as readonly DeviceClass[];
  const sides = devices.map((device) => together(device.devices, hierarchy, node));
  return {
    splits: {
      input: mask(node.ways, "splitsInput"),
      output: mask(node.ways, "splitsOutput"),
      weights: mask(node.ways, "splitsWeights"),
      work: mask(node.ways, "splitsWork"),
    },
    units: node.units,
    flops: flopsOf(node, mode),
    traffic: trafficOf(node, mode),
    flopsPerSecond: Float64Array.from(sides, (side) => side.flops),
    bytesPerSecond: Float64Array.from(sides, (side) => side.memoryBandwidth),
  };
}

/** Part of a tensor that a class holds: the product of its parts along the types that split the tensor. */
export function scale(splits: number, parts: Float64Array, at: number): number {
  let product = 1;
  if (splits & 1) product *= parts[at] as number;
  if (splits & 2) product *= parts[at + 1] as number;
  if (splits & 4) product *= parts[at + 2] as number;
  return product;
}

/**
 * Seconds of compute or memory traffic of the slowest device, whichever is longer. `parts` holds each class's
 * part of the three dimensions.
 */
export function slowestDevice(facts: Facts, parts: Float64Array, whole: Float64Array): number {
  let slowest = 0;
  for (let c = 0; c < facts.flopsPerSecond.length; c++) {
    slowest = Math.max(slowest, deviceTime(facts, parts, c, whole));
  }
  return slowest;
}

/** The same for one class of devices; `whole` is room for three numbers. */
export function deviceTime(facts: Facts, parts: Float64Array, c: number, whole: Float64Array): number {
  wholeParts(facts, parts, c, whole);
  const { splits, traffic } = facts;
  const share = scale(splits.work, whole, 0);
  if (share === 0) return 0;
  const bytes =
    traffic.input * scale(splits.input, whole, 0) +
    traffic.output * scale(splits.output, whole, 0) +
    traffic.weights * scale(splits.weights, whole, 0);
  return Math.max(computeTime(facts, share, c), bytes / (facts.bytesPerSecond[c] as number));
}

function computeTime(facts: Facts, share: number, c: number): number {
  return (facts.flops * share) / (facts.flopsPerSecond[c] as number);
}

/** What the slowest device of a node waits for: its arithmetic, or its memory. */
export function boundOf(facts: Facts, parts: Float64Array): "compute" | "memory" {
  const whole = new Float64Array(3);
  let slowest = 0;
  let bound: "compute" | "memory" = "compute";
  for (let c = 0; c < facts.flopsPerSecond.length; c++) {
    const seconds = deviceTime(facts, parts, c, whole);
    if (seconds <= slowest) continue;
    slowest = seconds;
    bound = computeTime(facts, scale(facts.splits.work, whole, 0), c) < seconds ? "memory" : "compute";
  }
  return bound;
}

/** A device's parts, each rounded up to whole samples or channels: that is what it really has to do. */
export function wholeParts(facts: Facts, parts: Float64Array, c: number, whole: Float64Array): void {
  for (let t = 0; t < 3; t++) {
    const units = facts.units[t as 0 | 1 | 2];
    whole[t] = Math.min(1, Math.ceil(units * (parts[c * 3 + t] as number) - 1e-6) / units);
  }
}

function mask(ways: Ways, what: "splitsInput" | "splitsOutput" | "splitsWeights" | "splitsWork"): number {
  return ways.reduce((bits, way, type) => bits | (way?.[what] ? 1 << type : 0), 0);
}
