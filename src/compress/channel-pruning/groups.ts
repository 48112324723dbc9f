import { type Layer, type LayerUse, listLayers } from "../../onnx/layers.ts";
import type { Model } from "../../onnx/model.ts";
import type { Shapes } from "../../onnx/shapes/shapes.ts";
import { tensorByteLength } from "../../onnx/tensor.ts";
import type { Axis } from "./channels.ts";
import { type Labels, labelChannels } from "./labels.ts";
import type { CountedList } from "./rule.ts";

/** Channels that are made by the same layers, in units that can be removed one by one. JSON. */
export interface ChannelGroup {
  /** Name of the first layer that makes them. */
  readonly id: string;
  /** Units, numbered from 0 in the order of that layer's outputs. A unit is one channel, or a head, or several. */
  readonly units: number;
  /** Layers that make the units, by their output channels (rows). */
  readonly producers: readonly LayerUnits[];
  /** Layers that sum over the units, by their input channels (columns). */
  readonly consumers: readonly LayerUnits[];
  /** Axes of stored tensors that lose the units. */
  readonly cuts: readonly Cut[];
  /** Numbers in nodes that count the units. */
  readonly counts: readonly UnitCount[];
  /** Sets of units of which one at least has to stay; all of the group's units are one where this is empty. */
  readonly keep: readonly (readonly number[])[];
  /** Values that the nodes compute and that lose channels. */
  readonly values: readonly string[];
  /** Bytes of the file and multiply-accumulates that one unit takes, while the others stay; an estimate. */
  readonly bytesPerUnit: number;
  readonly macsPerUnit: number;
}

/** Where a side of a layer has the units. */
export interface LayerUnits {
  readonly layer: string;
  /** Of the layer's weight. */
  readonly axis: number;
  /** A unit for each index; -1 for those that are not of the group. */
  readonly units: readonly number[];
}

export interface Cut {
  /** Name of the initializer, or output of the Constant node. */
  readonly tensor: string;
  readonly axis: number;
  /** A unit for each index; -1 for those that are not of the group. */
  readonly units: readonly number[];
}

export interface UnitCount extends Omit<CountedList, "axis"> {
  /** First output of the node. */
  readonly node: string;
  /** A unit for each channel that is counted; -1 for those that are not of the group. */
  readonly units: readonly number[];
}

/** What {@link findChannelGroups} answers. */
export interface ChannelGroups {
  readonly groups: readonly ChannelGroup[];
  /** Layers none of whose outputs can be removed, and why. */
  readonly left: readonly { readonly layer: string; readonly reason: string }[];
}

/** The output and input channels of a layer, as labels. */
interface Sides {
  readonly layer: Layer;
  readonly rows: Axis;
  readonly columns: Axis;
  /** Axes of the weight. */
  readonly rowAxis: number;
  readonly columnAxis: number;
}

/**
 * The channels of the model that can be removed, with all that depends on them: through elementwise operators, Concat,
 * Split, Slice, normalisation by channel, pooling, Resize, Pad, Reshape, Flatten, Transpose, grouped and depthwise
 * convolutions, recurrent layers and attention. Only the model's own graph is followed, and what is not understood is
 * left alone; nothing is read of the model but small tensors that `shapes` has read.
 */
export function findChannelGroups(model: Model, shapes: Shapes): ChannelGroups {
  const labels = labelChannels(model, shapes);
  const sides = listLayers(model, shapes).map((layer) => sidesOf(layer, labels));
  const producing = sides.filter(({ rows }) => rows && !labels.channels.isFixed(rows));
  const components = componentsOf(producing, labels);
  const among = componentsAmong(components, labels);
  const groups = components.map((unitOf) => groupOf(unitOf, among, sides, labels));
  const single = new Set(
    groups.filter(({ units }) => units < 2).flatMap(({ producers }) => producers.map(({ layer }) => layer)),
  );
  return {
    groups: groups.filter(({ units }) => units > 1),
    left: sides.flatMap(({ layer, rows }) => {
      if (single.has(layer.name)) {
        return [{ layer: layer.name, reason: "its channels can only be removed all together" }];
      }
      return hasOwnOutputs(layer) && labels.channels.isFixed(rows)
        ? [{ layer: layer.name, reason: reasonOf(layer, rows, labels) }]
        : [];
    }),
  };
}

/** The recurrent part makes the same hidden units as the input part. */
function hasOwnOutputs({ uses: [use] }: Layer): boolean {
  const { geometry } = use!;
  return geometry.kind !== "recurrent" || geometry.part === "W";
}

function reasonOf({ uses }: Layer, rows: Axis, labels: Labels): string {
  if (uses.some(({ path }) => path.length > 0))
    return "it is in a body of If, Loop or Scan, which is not followed";
  if (!rows || rows.length === 0) return "its weight is not stored as plain numbers";
  return labels.channels.reasonOf(rows[0]!) ?? "its channels cannot be removed one by one";
}

function sidesOf(layer: Layer, labels: Labels): Sides {
  const own = layer.uses.every(({ path }) => path.length === 0);
  const [use] = layer.uses;
  const axes = own ? labels.axes.get(use!.node.inputs[use!.input] ?? "") : undefined;
  const [rowAxis, columnAxis] = sideAxes(use!);
  const at = (axis: number) => axes?.[axis] ?? null;
  return { layer, rows: at(rowAxis), columns: at(columnAxis), rowAxis, columnAxis };
}

/** Axes of the weight that come out and that are summed over; -1 where there is none. */
export function sideAxes({ geometry }: LayerUse): readonly [rows: number, columns: number] {
  switch (geometry.kind) {
    case "convolution": {
      const { groups, inputChannels, outputChannels, transposed } = geometry;
      // Depthwise: what comes out of a group goes with what goes in.
      if (groups > 1 && (transposed ? outputChannels : inputChannels) === groups) return [0, -1];
      return transposed ? [1, 0] : [0, 1];
    }
    case "matrix":
      return [geometry.outputAxis, geometry.inputAxis];
    case "recurrent":
      return [1, 2];
    case "embedding":
      return [geometry.axis === 0 ? 1 : 0, -1];
  }
}

/** Units of each group by their class of channels: classes that share a layer's outputs are in one group. */
function componentsOf(producing: readonly Sides[], { channels }: Labels): Map<number, number>[] {
  const groupOf = new Map<number, Map<number, number>>();
  for (const { rows } of producing) {
    const free = [...rows!].filter((channel) => channels.reasonOf(channel) === null);
    const classes = [...new Set(free.map((channel) => channels.classOf(channel)))];
    const joined = new Map<number, number>();
    for (const one of new Set(classes.flatMap((root) => groupOf.get(root) ?? []))) {
      for (const root of one.keys()) joined.set(root, joined.size);
    }
    for (const root of classes) if (!joined.has(root)) joined.set(root, joined.size);
    for (const root of joined.keys()) groupOf.set(root, joined);
  }
  return [...new Set(groupOf.values())];
}

type UnitOfClass = ReadonlyMap<number, number>;

/** Which groups have channels among those of an axis. */
function componentsAmong(
  components: readonly UnitOfClass[],
  { channels }: Labels,
): (axis: Int32Array) => ReadonlySet<UnitOfClass> {
  const ofClass = new Map<number, UnitOfClass>();
  for (const unitOf of components) for (const root of unitOf.keys()) ofClass.set(root, unitOf);
  const known = new Map<Int32Array, ReadonlySet<UnitOfClass>>();
  return (axis) => {
    const found =
      known.get(axis) ?? new Set([...axis].flatMap((one) => ofClass.get(channels.classOf(one)) ?? []));
    known.set(axis, found);
    return found;
  };
}

function groupOf(
  unitOfClass: UnitOfClass,
  among: (axis: Int32Array) => ReadonlySet<UnitOfClass>,
  sides: readonly Sides[],
  labels: Labels,
): ChannelGroup {
  const { channels } = labels;
  const unitsOf = (axis: Int32Array): number[] | null =>
    among(axis).has(unitOfClass)
      ? Array.from(axis, (channel) => unitOfClass.get(channels.classOf(channel)) ?? -1)
      : null;
  const cuts: Cut[] = [];
  const values: string[] = [];
  const sets = new Map<string, number[]>();
  for (const [name, axes] of labels.axes) {
    let touched = false;
    axes.forEach((axis, at) => {
      const units = axis && unitsOf(axis);
      if (!units) return;
      touched = true;
      if (labels.stored.has(name)) cuts.push({ tensor: name, axis: at, units });
      if (units.every((unit) => unit >= 0)) {
        const set = [...new Set(units)].sort((a, b) => a - b);
        sets.set(set.join(), set);
      }
    });
    if (touched && !labels.stored.has(name)) values.push(name);
  }
  const side = (which: "row" | "column"): LayerUnits[] =>
    sides.flatMap((one) => {
      const axis = one[`${which}s`];
      const units = axis && unitsOf(axis);
      return units ? [{ layer: one.layer.name, axis: one[`${which}Axis`], units }] : [];
    });
  const producers = side("row");
  const units = unitOfClass.size;
  const seen = new Set<string>();
  const counts = labels.counts.flatMap(({ axis, ...count }) => {
    const counted = unitsOf(axis);
    if (!counted) return [];
    const key = JSON.stringify([count, counted]);
    if (seen.has(key)) return [];
    seen.add(key);
    return [{ ...count, units: counted }];
  });
  return {
    id: producers[0]!.layer,
    units,
    producers,
    consumers: side("column"),
    cuts,
    counts,
    keep: minimalSets([...sets.values()], units),
    values,
    bytesPerUnit: bytesOf(cuts, labels) / units,
    macsPerUnit: macsOf(cuts, sides) / units,
  };
}

/** Without sets that contain another one; none where only all units together are one. */
function minimalSets(sets: readonly (readonly number[])[], units: number): (readonly number[])[] {
  const smallest: (readonly number[])[] = [];
  for (const set of sets.toSorted((a, b) => a.length - b.length)) {
    const members = new Set(set);
    if (!smallest.some((one) => one.every((unit) => members.has(unit)))) smallest.push(set);
  }
  return smallest.length === 1 && smallest[0]!.length === units ? [] : smallest;
}

function share({ units }: Cut): number {
  return units.filter((unit) => unit >= 0).length / units.length;
}

/** Bytes on the axes; what lies on two of them counts once. */
function bytesOf(cuts: readonly Cut[], labels: Labels): number {
  let bytes = 0;
  for (const [name, shares] of sharesOf(cuts))
    bytes += tensorByteLength(labels.stored.get(name)!) * gone(shares);
  return bytes;
}

function macsOf(cuts: readonly Cut[], sides: readonly Sides[]): number {
  const shares = sharesOf(cuts);
  let macs = 0;
  for (const { layer } of sides)
    macs += (layer.macs ?? layer.parameters) * gone(shares.get(layer.weight.name) ?? []);
  return macs;
}

function sharesOf(cuts: readonly Cut[]): Map<string, number[]> {
  const shares = new Map<string, number[]>();
  for (const cut of cuts) shares.set(cut.tensor, [...(shares.get(cut.tensor) ?? []), share(cut)]);
  return shares;
}

function gone(shares: readonly number[]): number {
  return Math.min(
    1,
    shares.reduce((sum, one) => sum + one, 0),
  );
}
