import type { Mix } from "../../../schemas/mix.ts";
import type { PartitionType, Plan } from "../../../schemas/plan.ts";
import type { Network, NetworkNode } from "../../../src/partition/graph.ts";
import { TYPE_NAMES } from "../../../src/partition/layout.ts";
import { resolveMix } from "../../../src/partition/mix.ts";
import { planNetwork } from "../../../src/partition/plan.ts";
import { type DeviceClass, type Hierarchy, hierarchyOf } from "../../../src/partition/tree.ts";

/** What a test decides for a layer at a level: a type that the layer has, and side a's share. */
export type Choose = (node: NetworkNode, level: number) => { type: PartitionType; share: number };

/**
 * A plan whose types and shares a test chose, in the planner's own format, over the whole mix. The mix has to be one
 * whose devices the plan numbers as the hierarchy splits them: equal devices in powers of two, or two groups of them.
 */
export function forcedPlan(network: Network, mix: Mix, choose: Choose): Plan {
  const plan = planNetwork(network, mix);
  const groups = resolveMix(mix);
  const hierarchy = hierarchyOf(groups);
  const starts = groups.map((_, g) => groups.slice(0, g).reduce((sum, { count }) => sum + count, 0));
  return {
    ...plan,
    layers: plan.layers.map((layer, v) => {
      const node = network.nodes[v] as NetworkNode;
      const levels = Array.from({ length: hierarchy.depth }, (_, level) => choose(node, level));
      const shares = new Array<number>(plan.devices.length).fill(0);
      const next = [...starts];
      spread(hierarchy, 0, 0, 1, node, levels, (group, share) => {
        const device = next[group] as number;
        next[group] = device + 1;
        shares[device] = share;
      });
      return {
        ...layer,
        type: levels.map(({ type }) => type),
        shares: plan.devices.map(({ name }, device) => ({ device: name, share: shares[device] as number })),
      };
    }),
  };
}

function spread(
  hierarchy: Hierarchy,
  level: number,
  at: number,
  part: number,
  node: NetworkNode,
  levels: readonly ReturnType<Choose>[],
  note: (group: number, share: number) => void,
): void {
  const { cut, children, devices } = (hierarchy.levels[level] as readonly DeviceClass[])[at] as DeviceClass;
  if (level === hierarchy.depth) {
    note(devices[0]?.group ?? 0, part);
    return;
  }
  if (!cut) {
    spread(hierarchy, level + 1, children[0], part, node, levels, note);
    return;
  }
  const { type, share } = levels[level] as ReturnType<Choose>;
  const splits = node.ways[TYPE_NAMES.indexOf(type)]?.splitsWork ?? true;
  // Halves that are one class have one share each in a plan: the planner gives them equal ones.
  const own = children[0] === children[1] ? 0.5 : share;
  spread(hierarchy, level + 1, children[0], splits ? part * own : part, node, levels, note);
  spread(hierarchy, level + 1, children[1], splits ? part * (1 - own) : part, node, levels, note);
}

/** The types that a layer has. */
export function typesOf(node: NetworkNode): PartitionType[] {
  return TYPE_NAMES.filter((_, t) => node.ways[t] !== null);
}
