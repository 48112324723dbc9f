import type { Kernels } from "../../kernels/kernels.ts";
import { type Layer, listLayers } from "../../onnx/layers.ts";
import type { Model } from "../../onnx/model.ts";
import { inferDefaultShapes } from "../../onnx/shapes/defaults.ts";
import { readWeight } from "../layer-of-model.ts";
import { mayRemove } from "./choose.ts";
import { type ChannelGroup, findChannelGroups, type LayerUnits } from "./groups.ts";
import { pruneChannels } from "./prune.ts";

/**
 * The model without channels that nobody reads, as training with a group regulariser or masks leaves them: units whose
 * columns are zero in every layer that sums over them. What made them goes too, which may leave others unread, and so on
 * until none is left (the shrinking of PENNI, ICML 2020, §3.3). The answers stay the same but for rounding.
 *
 * @param isOpen groups that may lose units
 */
export async function withoutUnread(
  model: Model,
  isOpen: (group: ChannelGroup) => boolean,
  kernels: Kernels,
): Promise<Model> {
  for (let current = model; ; ) {
    const { shapes } = await inferDefaultShapes(current);
    const groups = findChannelGroups(current, shapes).groups.filter(isOpen);
    const layers = new Map(listLayers(current, shapes).map((layer) => [layer.name, layer]));
    const removals = new Map<string, readonly number[]>();
    for (const group of groups) {
      const units = await unreadUnits(group, layers);
      if (units.length > 0) removals.set(group.id, units);
    }
    if (removals.size === 0) return current;
    current = await pruneChannels(current, groups, removals, { moments: null, kernels });
  }
}

async function unreadUnits(group: ChannelGroup, layers: ReadonlyMap<string, Layer>): Promise<number[]> {
  const { units, consumers } = group;
  const read = new Uint8Array(units).fill(consumers.length === 0 ? 1 : 0);
  for (const side of consumers) await markRead(read, side, layers.get(side.layer));
  const gone = new Set<number>();
  for (let unit = 0; unit < units; unit++) {
    if (read[unit] === 0 && mayRemove(group, gone, unit)) gone.add(unit);
  }
  return [...gone];
}

/** Sets 1 for the units that the layer reads; for all of them where its weight is not known. */
async function markRead(read: Uint8Array, { axis, units }: LayerUnits, layer?: Layer): Promise<void> {
  const weight = layer?.fixed === null ? await readWeight(layer) : undefined;
  if (weight === undefined) {
    read.fill(1);
    return;
  }
  const { dims, values } = weight;
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  for (let i = 0; i < values.length; i++) {
    const unit = units[Math.floor(i / inner) % units.length]!;
    if (unit >= 0 && values[i] !== 0) read[unit] = 1;
  }
}
