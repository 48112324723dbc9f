import type { Plan } from "../../../schemas/plan.ts";
import {
  axisCut,
  type ShardedLayer,
  type ShardedTensor,
  type Sharding,
  typeAt,
  undividedLayers,
} from "./sharding.ts";

/**
 * The devices that take part as a mesh, one axis a level of the plan. Frameworks know only equal shards: `uneven` says
 * where the plan's shares are others.
 */
export interface Mesh {
  /** In the order of the mesh, the innermost axis fastest. */
  readonly devices: readonly string[];
  /** One a level, each of two; or a single axis where the numbers of devices are no powers of two. */
  readonly shape: readonly number[];
  readonly axes: readonly string[];
}

export function meshOf({ work, layers }: Sharding): Mesh {
  const depth = layers[0]?.types.length ?? 0;
  const { devices } = work;
  if (depth > 0 && devices.length === 2 ** depth) {
    const levels = Array.from({ length: depth }, (_, level) => `level${level}`);
    return { devices, shape: levels.map(() => 2), axes: levels };
  }
  return { devices, shape: [devices.length], axes: ["devices"] };
}

/** Mesh axes along which each axis of a tensor is sharded; null where the mesh cannot say it. */
export function meshAxes(mesh: Mesh, layer: ShardedLayer, tensor: ShardedTensor): string[][] | null {
  const found = Array.from({ length: tensor.rank }, (): string[] => []);
  const cuts = layer.types.map((_, level) => axisCut(layer, tensor, typeAt(layer, level)));
  if (mesh.axes.length === cuts.length) {
    for (const [level, axis] of cuts.entries()) {
      if (axis !== null) found[axis]?.push(mesh.axes[level] as string);
    }
    return found;
  }
  const [first, ...others] = cuts;
  if (first === undefined) return found;
  if (others.some((axis) => axis !== first)) return null;
  if (first !== null) found[first]?.push(mesh.axes[0] as string);
  return found;
}

/** Layers whose devices have other than equal shares, with the shares. */
function unevenLayers({ layers }: Plan): { name: string; shares: string }[] {
  return layers.flatMap(({ name, shares }) => {
    const taking = shares.filter(({ share }) => share > 0);
    const [first] = taking;
    if (taking.every(({ share }) => Math.abs(share - (first?.share ?? 0)) < 1e-9)) return [];
    return [{ name, shares: taking.map(({ device, share }) => `${device} ${share.toFixed(4)}`).join(", ") }];
  });
}

/** What the plan says and equal shards of one mesh do not, for people to read. */
export function remarksOn(framework: string, sharding: Sharding, unsaid: readonly string[]): string[] {
  const uneven = unevenLayers(sharding.plan);
  const undivided = undividedLayers(sharding);
  const listed = (heading: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : [heading, ...lines.map((line) => `  ${line}`)];
  return [
    ...listed(
      `${framework} shards evenly. Of these layers the plan's shares are others:`,
      uneven.map(({ name, shares }) => `${name}: ${shares}`),
    ),
    ...listed(
      "The plan divides these layers by channels that are not along one axis of a tensor; they are whole here:",
      undivided,
    ),
    ...listed(
      "The numbers of devices make no mesh of the plan's levels, so that these tensors are replicated here:",
      unsaid,
    ),
  ];
}
