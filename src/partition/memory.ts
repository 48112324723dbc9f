import type { Mode } from "../../schemas/plan.ts";
import type { Costs } from "./cost.ts";
import { type Facts, factsOf, scale, wholeParts } from "./facts.ts";
import type { NetworkNode } from "./graph.ts";
import type { DeviceClass } from "./tree.ts";

/** Weight, gradient and Adam's two moments. */
const TRAINING_COPIES = 4;

/**
 * Bytes that one device of each class needs. Training keeps weights, gradients, Adam's two moments and every
 * layer's input for the backward pass; inference keeps the weights. Both add the largest layer's input and output.
 */
export function memoryOf(costs: Costs, codes: readonly number[], mode: Mode): Float64Array {
  const { hierarchy, network } = costs;
  const classes = hierarchy.levels[hierarchy.depth] as readonly DeviceClass[];
  const kept = new Float64Array(classes.length);
  const working = new Float64Array(classes.length);
  const whole = new Float64Array(3);
  for (const [v, node] of network.nodes.entries()) {
    const facts = factsOf(node, hierarchy, mode);
    const parts = costs.parts(v, codes[v] as number);
    for (let c = 0; c < classes.length; c++) {
      wholeParts(facts, parts, c, whole);
      if (scale(facts.splits.work, whole, 0) === 0) continue;
      kept[c] = (kept[c] as number) + keptBytes(node, facts, mode, whole);
      working[c] = Math.max(
        working[c] as number,
        node.elementBytes *
          (node.input * scale(facts.splits.input, whole, 0) +
            node.output * scale(facts.splits.output, whole, 0)),
      );
    }
  }
  return kept.map((bytes, c) => bytes + (working[c] as number));
}

/** Bytes of a node that stay for the whole step on a device with these parts. */
export function keptBytes(node: NetworkNode, facts: Facts, mode: Mode, whole: Float64Array): number {
  const training = mode === "training";
  return (
    (training ? TRAINING_COPIES : 1) * node.weightBytes * scale(facts.splits.weights, whole, 0) +
    (training ? node.input * node.elementBytes * scale(facts.splits.input, whole, 0) : 0)
  );
}
