import type { Mix } from "../../schemas/mix.ts";
import type { Plan, PlanOptions } from "../../schemas/plan.ts";
import type { Model, Node } from "../onnx/model.ts";
import { resolveMix } from "./mix.ts";
import { type TakenBranches, tracedNetwork } from "./network.ts";
import { modeOf, planNetwork } from "./plan.ts";
import { semiStructuredNodes } from "./semi-structured.ts";

/**
 * Plans how to split a model over a mix. Its shapes are enough: weights that are absent count as dense ones. Weights
 * are looked at where an accelerator of the mix multiplies 2:4 sparse ones faster, for inference only: training
 * multiplies by gradients and by transposed weights too, and fills the zeros.
 *
 * @param taken branches that the model's inputs take, where that is known
 * @throws MixError when the mix makes no sense, or lacks a figure that the objective needs
 */
export async function planModel(
  model: Model,
  mix: Mix,
  options: PlanOptions = {},
  taken: TakenBranches = new Map(),
): Promise<Plan> {
  const exploited = resolveMix(mix).some(({ accelerator }) => accelerator.sparse_2_4);
  const { network, origins } = await tracedNetwork(model, options.batch, taken);
  if (!exploited || modeOf(options) === "training") return planNetwork(network, mix, options);
  const sparse = await semiStructuredNodes(model, origins);
  const notes = [...network.notes];
  if (sparse.unread > 0) {
    notes.push(
      sparse.unread === 1
        ? "1 layer counts as dense: its weight is too large to be searched for 2:4 zeros."
        : `${sparse.unread} layers count as dense: their weights are too large to be searched for 2:4 zeros.`,
    );
  }
  const nodes = network.nodes.map((node, v) =>
    sparse.nodes.has(origins[v] as Node) ? { ...node, semiStructured: true as const } : node,
  );
  return planNetwork({ ...network, nodes, notes }, mix, options);
}
