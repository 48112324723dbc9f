import type { Kernels } from "../../kernels/kernels.ts";
import { DataType } from "../../onnx/data-type.ts";
import { findAttribute, intAttribute, withAttributes } from "../../onnx/edit.ts";
import { type Layer, listLayers } from "../../onnx/layers.ts";
import type { Model, Node } from "../../onnx/model.ts";
import { inferShapes } from "../../onnx/shapes/infer.ts";
import type { TensorArray, TensorValue } from "../../onnx/tensor-value.ts";
import { validateModel } from "../../onnx/validate.ts";
import { FREE_INITIALIZERS_IR_VERSION, withVersion } from "../assemble.ts";
import { fromMatrices } from "../layer-matrix.ts";
import { readWeight } from "../layer-of-model.ts";
import { type LayerWeight, storedAs } from "../weight.ts";
import { type AddShift, shiftPlace } from "./bias.ts";
import { mayRemove } from "./choose.ts";
import { Draft } from "./draft.ts";
import { type ChannelGroup, sideAxes, type UnitCount } from "./groups.ts";
import { refitColumns } from "./refit.ts";
import { columnsOfAxis, type LayerMoments, loadMatrices } from "./score.ts";

export interface PruneOptions {
  /** Of the inputs of the layers that sum over removed channels; without them nothing is made up for. */
  readonly moments: LayerMoments | null;
  readonly kernels: Kernels;
  readonly loadWeight?: (layer: Layer) => Promise<LayerWeight | undefined>;
}

/** Removing these channels would leave a model that does not fit together: a mistake of Hone, never of the upload. */
export class PruningError extends Error {
  override readonly name = "PruningError";
}

/** 1 for each index that goes. */
type Cuts = Map<string, Map<number, Uint8Array>>;

/**
 * The model without these units of its channel groups: every tensor that holds them shrinks, numbers in nodes that
 * count them fall, and the layers that sum over them are refitted (see {@link refitColumns}) and get what the units
 * gave on average in their biases. Exact where a unit gives the same everywhere, except where a convolution pads it with
 * zeros: its mean, borders included, is then what goes into the bias.
 *
 * @param groups as findChannelGroups gave them for this very model
 * @param removals units to remove, by group
 * @throws RangeError for units that a group does not have or cannot spare
 * @throws PruningError when the edited model does not fit together
 */
export async function pruneChannels(
  model: Model,
  groups: readonly ChannelGroup[],
  removals: ReadonlyMap<string, readonly number[]>,
  options: PruneOptions,
): Promise<Model> {
  const removed = checked(groups, removals);
  if (removed.size === 0) return model;
  const shapes = await inferShapes(model);
  const draft = new Draft(model);
  const cuts = cutsOf(removed);
  if (options.moments) {
    for (const layer of listLayers(model, shapes))
      await refitLayer(layer, draft, cuts, options, options.moments);
  }
  for (const [name, axes] of cuts) {
    let value = await draft.read(name);
    for (const [axis, flags] of axes) value = without(value, axis, flags);
    draft.write(name, value);
  }
  changeCounts(draft, removed);
  const changed = new Set([...removed.keys()].flatMap(({ values }) => values));
  const edited = { ...model, graph: draft.finish(changed) };
  const pruned = draft.hasNew ? withVersion(edited, FREE_INITIALIZERS_IR_VERSION) : edited;
  validateModel(pruned);
  const known = new Set(shapes.warnings.map(({ node }) => node));
  const wrong = (await inferShapes(pruned)).warnings.find(({ node }) => !known.has(node));
  if (wrong)
    throw new PruningError(`after removing channels, node ${wrong.node} does not fit: ${wrong.detail}`);
  return pruned;
}

/** The groups that lose units, and which. */
function checked(
  groups: readonly ChannelGroup[],
  removals: ReadonlyMap<string, readonly number[]>,
): Map<ChannelGroup, ReadonlySet<number>> {
  const byId = new Map(groups.map((group) => [group.id, group]));
  const removed = new Map<ChannelGroup, ReadonlySet<number>>();
  for (const [id, units] of removals) {
    const group = byId.get(id);
    if (!group) throw new RangeError(`no channel group ${id}`);
    const gone = new Set<number>();
    for (const unit of units) {
      if (!Number.isInteger(unit) || unit < 0 || unit >= group.units) {
        throw new RangeError(`channel group ${id} has ${group.units} units, not one of number ${unit}`);
      }
      if (!gone.has(unit) && !mayRemove(group, gone, unit)) {
        throw new RangeError(`channel group ${id} cannot spare all of units ${[...gone, unit].join(", ")}`);
      }
      gone.add(unit);
    }
    if (gone.size > 0) removed.set(group, gone);
  }
  return removed;
}

function cutsOf(removed: ReadonlyMap<ChannelGroup, ReadonlySet<number>>): Cuts {
  const cuts: Cuts = new Map();
  for (const [group, gone] of removed) {
    for (const { tensor, axis, units } of group.cuts) {
      if (!units.some((unit) => gone.has(unit))) continue;
      const axes = cuts.get(tensor) ?? new Map<number, Uint8Array>();
      const flags = axes.get(axis) ?? new Uint8Array(units.length);
      units.forEach((unit, i) => {
        if (gone.has(unit)) flags[i] = 1;
      });
      cuts.set(tensor, axes.set(axis, flags));
    }
  }
  return cuts;
}

/** Refits the weight's columns that stay, and adds to its biases, where inputs of it go. */
async function refitLayer(
  layer: Layer,
  draft: Draft,
  cuts: Cuts,
  { kernels, loadWeight = readWeight }: PruneOptions,
  moments: LayerMoments,
): Promise<void> {
  const [rowAxis, columnAxis] = sideAxes(layer.uses[0]!);
  const cut = cuts.get(layer.weight.name);
  const channels = cut?.get(columnAxis);
  const seen = moments.get(layer.name);
  if (!channels || !seen?.some((one) => one !== null) || layer.uses.some(({ path }) => path.length > 0))
    return;
  if (!isUsedAlike(layer, draft)) return;
  const loaded = await loadMatrices(layer, loadWeight);
  if (!loaded) return;
  const { layout, weight, values } = loaded;
  const { count, rows, columns } = layout;
  const follow = (tensor: string, axis: number) => {
    const flags = cut?.get(rowAxis);
    if (flags) cuts.set(tensor, new Map([[axis, biasFlags(layer, flags)]]));
  };
  const places = layer.uses.map((use) => shiftPlace(draft, use, weight.dataType, follow));
  const aboutMean = places.every((place) => place !== null);
  const exempt = rowsOfReset(layer);
  const shift = new Float64Array(count * rows);
  const fitted = Float32Array.from(values);
  for (let m = 0; m < count; m++) {
    const inputs = seen[m] ?? null;
    const flags = Uint8Array.from(columnsOfAxis(channels, layout, m));
    if (!inputs || inputs.n !== columns || !flags.includes(1)) continue;
    const at = m * rows * columns;
    const refit = refitColumns(
      values.subarray(at, at + rows * columns),
      rows,
      flags,
      inputs,
      kernels,
      aboutMean,
    );
    for (let r = 0; r < rows; r++) {
      if (exempt?.(r)) continue;
      fitted.set(refit.w.subarray(r * columns, (r + 1) * columns), at + r * columns);
      shift[m * rows + r] = refit.shift[r]!;
    }
  }
  draft.write(layer.weight.name, {
    dataType: weight.dataType,
    dims: weight.dims,
    data: storedAs(weight.dataType, fromMatrices(layout, fitted)),
  });
  if (aboutMean) for (const place of places) await (place as AddShift)(shift);
}

/** Whether all that reads the weight's numbers multiplies by the same matrices. */
function isUsedAlike({ uses, weight }: Layer, draft: Draft): boolean {
  const [rows, columns] = sideAxes(uses[0]!);
  const alike = uses.every((use) => {
    const [r, c] = sideAxes(use);
    const direct = use.node.inputs[use.input] === weight.name;
    return direct && use.geometry.kind === uses[0]!.geometry.kind && r === rows && c === columns;
  });
  return alike && draft.references(weight.name) === uses.length;
}

/**
 * A GRU that resets the state before it multiplies: the rows of R that make the new state do not see the state itself,
 * whose moments are known, and stay as they are.
 */
function rowsOfReset({ uses: [use] }: Layer): ((row: number) => boolean) | null {
  const { node, geometry } = use!;
  if (node.opType !== "GRU" || geometry.kind !== "recurrent" || geometry.part !== "R") return null;
  if (intAttribute(node, "linear_before_reset", 0) !== 0) return null;
  return (row) => row >= 2 * geometry.hidden;
}

/** Entries of a new bias that go, given the rows of the weight that do. */
function biasFlags({ uses: [use] }: Layer, rows: Uint8Array): Uint8Array {
  const { geometry } = use!;
  if (geometry.kind === "recurrent") return Uint8Array.from([...rows, ...rows]);
  if (geometry.kind === "convolution" && geometry.transposed) {
    return new Uint8Array(geometry.outputChannels).map((_, i) => rows[i % rows.length]!);
  }
  return rows;
}

/** The tensor without the flagged indices of an axis. */
function without({ dataType, dims, data }: TensorValue, axis: number, flags: Uint8Array): TensorValue {
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const outer = dims.slice(0, axis).reduce((product, dim) => product * dim, 1);
  const kept: number[] = [];
  flags.forEach((flag, i) => {
    if (!flag) kept.push(i);
  });
  const shape = dims.map((dim, at) => (at === axis ? kept.length : dim));
  if (!ArrayBuffer.isView(data)) {
    const texts = data.filter((_, i) => !flags[Math.floor(i / inner) % flags.length]);
    return { dataType, dims: shape, data: texts };
  }
  const numbers = data as Float32Array;
  const result = new (numbers.constructor as Float32ArrayConstructor)(outer * kept.length * inner);
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const i of kept) {
      const from = (o * flags.length + i) * inner;
      result.set(numbers.subarray(from, from + inner), at);
      at += inner;
    }
  }
  return { dataType, dims: shape, data: result as TensorArray };
}

/** Writes every list anew that counts channels of which some went; groups may share an entry. */
function changeCounts(draft: Draft, removed: ReadonlyMap<ChannelGroup, ReadonlySet<number>>): void {
  const lists = new Map<string, { count: UnitCount; list: number[]; begun: Set<number> }>();
  for (const [group, gone] of removed) {
    for (const count of group.counts) {
      const fewer = count.units.filter((unit) => gone.has(unit)).length;
      if (fewer === 0) continue;
      const key = JSON.stringify([count.node, count.place]);
      const known = lists.get(key) ?? { count, list: [...count.list], begun: new Set() };
      lists.set(key, known);
      const { entry } = count;
      if (entry === null) continue;
      if (!known.begun.has(entry)) known.list[entry] = count.list[entry]!;
      known.begun.add(entry);
      known.list[entry]! -= fewer;
    }
  }
  for (const { count, list } of lists.values()) setList(draft, count, list);
}

function setList(draft: Draft, { node, place }: UnitCount, list: readonly number[]): void {
  if ("attribute" in place) {
    draft.edit(node, (one) => withList(one, place.attribute, list));
    return;
  }
  const name = draft.add(`${node}_sizes`, {
    dataType: DataType.INT64,
    dims: [list.length],
    data: BigInt64Array.from(list, BigInt),
  });
  draft.edit(node, (one) => {
    const inputs = [...one.inputs];
    while (inputs.length <= place.input) inputs.push("");
    inputs[place.input] = name;
    // Split: sizes and a number of outputs exclude each other.
    return { ...withAttributes(one, { num_outputs: undefined }), inputs };
  });
}

function withList(node: Node, attribute: string, list: readonly number[]): Node {
  const single =
    attribute === "group" ||
    attribute === "hidden_size" ||
    findAttribute(node, attribute)?.value.type === "int";
  return withAttributes(node, {
    [attribute]: single ? { type: "int", value: list[0]! } : { type: "ints", value: list },
  });
}
