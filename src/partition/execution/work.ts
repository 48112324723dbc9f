import type { Plan } from "../../../schemas/plan.ts";
import type { Network, NetworkNode } from "../graph.ts";
import { TYPE_NAMES } from "../layout.ts";
import { resolveMix } from "../mix.ts";
import { subsetsOf, takePart } from "../subsets.ts";
import { type DeviceClass, type Hierarchy, hierarchyOf } from "../tree.ts";
import { ExecutionError } from "./errors.ts";

/** A part of [0, 1]. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

/** What of a layer's three dimensions one device works on: AccPar's types I, II and III divide one each. */
export interface Portion {
  readonly samples: Interval;
  readonly input: Interval;
  readonly output: Interval;
}

/** Who does what: the devices that take part, and for each layer a portion a device. */
export interface Work {
  /** Names, in the order of the plan. */
  readonly devices: readonly string[];
  /** By the layer's name. */
  readonly portions: ReadonlyMap<string, readonly Portion[]>;
}

const ALL: Interval = { from: 0, to: 1 };
const DIMENSIONS = ["samples", "input", "output"] as const;
/** How far shares may be from adding up to 1: they come through JSON as doubles. */
const ROUNDING = 1e-6;

/**
 * What each device does by a plan: the hierarchy of cuts comes from the mix, a layer's types say which dimension
 * each level divides, and the devices' shares say where. Neighbours share their bounds, so that portions tile.
 *
 * @throws ExecutionError where the plan is not one of this network
 */
export function workOf(plan: Plan, network: Network): Work {
  const nodes = new Map(network.nodes.map((node) => [node.name, node]));
  if (plan.layers.length !== nodes.size || plan.layers.some(({ name }) => !nodes.has(name))) {
    throw new ExecutionError(
      "another_model",
      "the plan's layers are not those of the model; plan this model again and verify that plan",
    );
  }
  const layers = plan.layers.map((layer) => ({
    node: nodes.get(layer.name) as NetworkNode,
    types: layer.type,
    shares: sharesOf(layer, plan),
  }));
  const tree = treeOf(plan, layers);
  const taking = [...devicesIn(tree)].sort((a, b) => a - b);
  return {
    devices: taking.map((device) => plan.devices[device]?.name ?? `${device}`),
    portions: new Map(
      layers.map((layer) => {
        const found = new Map<number, Portion>();
        divide(tree, layer, { samples: ALL, input: ALL, output: ALL }, found);
        return [layer.node.name, taking.map((device) => found.get(device) as Portion)];
      }),
    ),
  };
}

interface PlannedLayer {
  readonly node: NetworkNode;
  readonly types: Plan["layers"][number]["type"];
  /** One a device of the plan. */
  readonly shares: readonly number[];
}

/** Cuts down to single devices, each with its place among the plan's devices. */
type Tree = { readonly device: number } | { readonly level: number; readonly sides: readonly [Tree, Tree] };

function sharesOf({ shares }: Plan["layers"][number], plan: Plan): number[] {
  const all = shares.flatMap(({ share, count = 1 }) => new Array<number>(count).fill(share));
  return plan.devices.map((_, device) => all[device] ?? 0);
}

/**
 * The hierarchy that the plan was made for: of the whole mix or of a part of it, which a plan tells by its depth and by
 * who has a share.
 */
function treeOf(plan: Plan, layers: readonly PlannedLayer[]): Tree {
  const groups = resolveMix(plan.mix);
  const depth = layers[0]?.types.length ?? 0;
  const singles = groups.map((_, g) => groups.map((__, other) => (other === g ? 1 : 0)));
  for (const counts of [...subsetsOf(groups), ...singles]) {
    const { groups: taken, origin } = takePart(groups, counts);
    const hierarchy = hierarchyOf(taken);
    if (hierarchy.depth !== depth) continue;
    const starts = groups.map((_, g) => groups.slice(0, g).reduce((sum, { count }) => sum + count, 0));
    const tree = grow(
      hierarchy,
      waitingDevices(hierarchy, (group) => starts[origin[group] ?? 0] ?? 0),
      0,
      0,
    );
    if (layers.every((layer) => Math.abs(totalShare(tree, layer) - 1) < ROUNDING)) return tree;
  }
  throw new ExecutionError(
    "another_mix",
    "the plan's shares do not add up for its mix; it was changed after planning, so plan again",
  );
}

/** Devices of each class of the last level, in the order in which plans number them. */
function waitingDevices(
  { levels, depth }: Hierarchy,
  startOf: (group: number) => number,
): readonly { next: number }[] {
  const used = new Map<number, number>();
  return (levels[depth] as readonly DeviceClass[]).map(({ devices, multiplicity }) => {
    const group = devices[0]?.group ?? 0;
    const next = used.get(group) ?? startOf(group);
    used.set(group, next + multiplicity);
    return { next };
  });
}

function grow(hierarchy: Hierarchy, waiting: readonly { next: number }[], level: number, at: number): Tree {
  if (level === hierarchy.depth) return { device: waiting[at]!.next++ };
  const { cut, children } = hierarchy.levels[level]![at] as DeviceClass;
  const side = (child: number) => grow(hierarchy, waiting, level + 1, child);
  return cut ? { level, sides: [side(children[0]), side(children[1])] } : side(children[0]);
}

function* devicesIn(tree: Tree): Generator<number> {
  if ("device" in tree) yield tree.device;
  else for (const side of tree.sides) yield* devicesIn(side);
}

/** A layer's work on a part of the devices; where a type leaves it whole on both sides, they have equal shares. */
function totalShare(tree: Tree, layer: PlannedLayer): number {
  if ("device" in tree) return layer.shares[tree.device] ?? 0;
  const [a, b] = tree.sides.map((side) => totalShare(side, layer)) as [number, number];
  return splits(layer, tree.level) ? a + b : Math.max(a, b);
}

function typeAt({ types }: PlannedLayer, level: number): 0 | 1 | 2 {
  return TYPE_NAMES.indexOf(types[level] ?? "I") as 0 | 1 | 2;
}

function splits(layer: PlannedLayer, level: number): boolean {
  return layer.node.ways[typeAt(layer, level)]?.splitsWork ?? true;
}

function divide(tree: Tree, layer: PlannedLayer, portion: Portion, into: Map<number, Portion>): void {
  if ("device" in tree) {
    into.set(tree.device, portion);
    return;
  }
  const [a, b] = tree.sides;
  if (!splits(layer, tree.level)) {
    for (const side of tree.sides) divide(side, layer, portion, into);
    return;
  }
  const [own, other] = [totalShare(a, layer), totalShare(b, layer)];
  const dimension = DIMENSIONS[typeAt(layer, tree.level)];
  const { from, to } = portion[dimension];
  const bound = own + other > 0 ? from + ((to - from) * own) / (own + other) : from;
  divide(a, layer, { ...portion, [dimension]: { from, to: other > 0 ? bound : to } }, into);
  divide(b, layer, { ...portion, [dimension]: { from: other > 0 ? bound : to, to } }, into);
}
