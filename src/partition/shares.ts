import type { Mode } from "../../schemas/plan.ts";
import type { NetworkNode, PassFlops } from "./graph.ts";
import { TYPE_NAMES, type TypeIndex, type Way } from "./layout.ts";
import { nodeFlops } from "./peak.ts";
import type { Cut, GroupCount, Hierarchy } from "./tree.ts";

/** One side of a cut taken together. */
export interface Side {
  /** FLOP/s. */
  readonly flops: number;
  /** Bytes per second from and to memory. */
  readonly memoryBandwidth: number;
}

/** What a layer asks of a device: `splitBytes` shrink with its share, `wholeBytes` do not. */
export interface Load {
  readonly flops: number;
  readonly splitBytes: number;
  readonly wholeBytes: number;
}

/** Seconds that a side takes for a share of a load: the roofline of compute and memory. */
export function sideTime(side: Side, load: Load, share: number): number {
  return Math.max(
    (share * load.flops) / side.flops,
    (share * load.splitBytes + load.wholeBytes) / side.memoryBandwidth,
  );
}

/**
 * The share α of side a at which both sides take equally long, `sideTime(a, load, α) = sideTime(b, load, 1 − α)`
 * (AccPar, equation 9, with the memory term added). Both sides exchange at the same time over the same cut, so
 * that communication drops out. 0 or 1 where one side would be slower even with nothing to do.
 */
export function solveShare(a: Side, b: Side, load: Load): number {
  const gap = (share: number) => sideTime(a, load, share) - sideTime(b, load, 1 - share);
  if (gap(0) >= 0) return 0;
  if (gap(1) <= 0) return 1;
  let low = 0;
  let high = 1;
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (gap(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** What a layer asks of the devices in one step, all passes and the weight update together. */
export function loadOf(node: NetworkNode, way: Way, mode: Mode): Load {
  const { input, output, weights } = trafficOf(node, mode);
  const split =
    (way.splitsInput ? input : 0) + (way.splitsOutput ? output : 0) + (way.splitsWeights ? weights : 0);
  return { flops: flopsOf(node, mode), splitBytes: split, wholeBytes: input + output + weights - split };
}

/** Bytes from and to memory in one step, by tensor: every pass reads or writes F or E of both ends and W once. */
export function trafficOf(
  node: NetworkNode,
  mode: Mode,
): { readonly input: number; readonly output: number; readonly weights: number } {
  const passes = mode === "training" ? 3 : 1;
  const update = mode === "training" && node.weights > 0 ? UPDATE_TRAFFIC : 0;
  return {
    input: passes * node.input * node.elementBytes,
    output: passes * node.output * node.elementBytes,
    weights: (passes + update) * node.weightBytes,
  };
}

/** Adam reads weight, gradient and two moments, and writes weight and two moments. */
export const UPDATE_TRAFFIC = 7;

/** FLOPs of one step by pass: nobody asks for the error of the network's own input. */
export function passesOf(node: NetworkNode, mode: Mode): PassFlops {
  const { forward, backward, gradient } = node.flops;
  if (mode === "inference") return { forward, backward: 0, gradient: 0 };
  return { forward, backward: node.passesError ? backward : 0, gradient };
}

/** FLOPs of one step. */
export function flopsOf(node: NetworkNode, mode: Mode): number {
  const { forward, backward, gradient } = passesOf(node, mode);
  return forward + backward + gradient;
}

/**
 * How cuts share the work: `layer` balances both sides layer by layer, as AccPar does, at the price of moving
 * activations between layers of unlike shares; `network` takes the one share that suits the whole step best;
 * `equal` follows the numbers of devices.
 */
export type SharePolicy = "layer" | "network" | "equal";

/** Share of side a at [cut·3 + type], for each node. Nodes that are the same object in `load` share one array. */
export function sharesOf(
  nodes: readonly NetworkNode[],
  hierarchy: Hierarchy,
  mode: Mode,
  policy: SharePolicy,
): (node: NetworkNode) => Float64Array {
  const common = Float64Array.from({ length: hierarchy.cuts.length * 3 }, (_, i) => {
    const cut = hierarchy.cuts[Math.floor(i / 3)] as Cut;
    return policy === "network" && !cut.alike && i % 3 === 0
      ? networkShare(nodes, cut, hierarchy, mode)
      : cut.countShare;
  });
  for (const [i, share] of common.entries()) {
    if (i % 3 === 0) common.fill(share, i, i + 3);
  }
  if (policy !== "layer") return () => common;
  return (node) => {
    const shares = common.slice();
    for (const cut of hierarchy.cuts) {
      if (cut.alike) continue;
      const [a, b] = [sideOf(cut, 0, hierarchy, node), sideOf(cut, 1, hierarchy, node)];
      for (let type = 0; type < TYPE_NAMES.length; type++) {
        const way = node.ways[type as TypeIndex];
        if (way?.splitsWork) shares[cut.id * 3 + type] = solveShare(a, b, loadOf(node, way, mode));
      }
    }
    return shares;
  };
}

/**
 * The share at which a step is shortest when every layer waits for its slower side: the least of a sum of maxima
 * of rising and falling lines, which is convex. Counted for the batch split, type I.
 */
function networkShare(nodes: readonly NetworkNode[], cut: Cut, hierarchy: Hierarchy, mode: Mode): number {
  const layers = nodes.flatMap((node) => {
    const way = node.ways[0];
    if (!way?.splitsWork) return [];
    const load = loadOf(node, way, mode);
    return [{ a: sideOf(cut, 0, hierarchy, node), b: sideOf(cut, 1, hierarchy, node), load }];
  });
  if (layers.length === 0) return cut.countShare;
  const step = (share: number) =>
    layers.reduce(
      (sum, { a, b, load }) => sum + Math.max(sideTime(a, load, share), sideTime(b, load, 1 - share)),
      0,
    );
  let low = 0;
  let high = 1;
  for (let i = 0; i < 80; i++) {
    const [left, right] = [low + (high - low) / 3, high - (high - low) / 3];
    if (step(left) <= step(right)) high = right;
    else low = left;
  }
  const found = (low + high) / 2;
  // Next to nothing is nothing: a side that only costs stays idle.
  const bound = step(found) * (1 + 1e-12);
  return step(0) <= bound ? 0 : step(1) <= bound ? 1 : found;
}

/** A side of a cut as one device. */
export function sideOf(cut: Cut, side: 0 | 1, hierarchy: Hierarchy, node: NetworkNode): Side {
  return together(cut.sides[side], hierarchy, node);
}

/** A set of devices as one: FLOP/s and memory bandwidth added up. */
export function together(devices: readonly GroupCount[], hierarchy: Hierarchy, node: NetworkNode): Side {
  let flops = 0;
  let memoryBandwidth = 0;
  for (const { group, count } of devices) {
    const kind = hierarchy.groups[group];
    if (!kind) continue;
    flops += count * nodeFlops(kind.accelerator, node);
    memoryBandwidth += count * kind.accelerator.memory_bandwidth;
  }
  return { flops, memoryBandwidth };
}
