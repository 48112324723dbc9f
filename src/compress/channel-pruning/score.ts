import type { Kernels } from "../../kernels/kernels.ts";
import type { FloatArray } from "../../kernels/reference/matmul.ts";
import type { Layer } from "../../onnx/layers.ts";
import { outputEnergy } from "../forms/solution.ts";
import type { InputMoments } from "../input-moments.ts";
import { layoutOf, type MatrixLayout, toMatrices } from "../layer-matrix.ts";
import { readWeight } from "../layer-of-model.ts";
import type { LayerWeight } from "../weight.ts";
import { blockCost, type Consumer, consumerOf, eliminationCosts, eliminationWork } from "./eliminate.ts";
import type { ChannelGroup, LayerUnits } from "./groups.ts";
import { damped, type Spread, spreadOf } from "./refit.ts";

/** Second moments of the inputs of each layer's matrices, by the layer's name; null where nothing was seen. */
export type LayerMoments = ReadonlyMap<string, readonly (InputMoments | null)[]>;

export interface ScoreOptions {
  readonly moments: LayerMoments | null;
  readonly kernels: Kernels;
  readonly loadWeight?: (layer: Layer) => Promise<LayerWeight | undefined>;
  /** Inputs of a matrix up to which its moments are inverted. */
  readonly mostInverted?: number;
  /** Multiply-adds that taking out units one after the other may need, over all groups. */
  readonly mostWork?: number;
}

const MOST_INVERTED = 1024;
const MOST_WORK = 2e10;
/** How much more than an equal part of what is left one group may take. */
const UNEVEN = 3;

/** A weight as matrices, ready to be scored. */
export interface LoadedMatrices {
  readonly layout: MatrixLayout;
  readonly weight: LayerWeight;
  /** count × rows × columns. */
  readonly values: Float32Array;
}

/** One matrix that sums over a group's units. */
interface Part {
  /** rows × n. */
  readonly w: Float32Array;
  readonly rows: number;
  readonly n: number;
  /** Columns of each unit. */
  readonly sets: readonly (readonly number[])[];
  readonly moments: InputMoments | null;
  /** What its error counts, relative to what it gives. */
  readonly weight: number;
}

/**
 * How much each unit of each group matters, by the group's id: the error that its removal adds to the layers that sum
 * over it, relative to what they give, added up over them. With moments, what is left after the other columns and the
 * bias have made up for it: tr(W_S·([C⁻¹]_SS)⁻¹·W_Sᵀ), C the damped covariance, the units being taken out one after the
 * other ({@link eliminationCosts}) unless that is too much work; or tr(W_S·C_SS·W_Sᵀ) where C is not inverted.
 * Without moments, by the norms of the columns and of what makes them. A group that no layer sums over scores by what
 * makes it.
 */
export async function scoreUnits(
  layers: readonly Layer[],
  groups: readonly ChannelGroup[],
  options: ScoreOptions,
): Promise<Map<string, Float64Array>> {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const load = async (name: string) => {
    const layer = byName.get(name);
    return layer && loadMatrices(layer, options.loadWeight ?? readWeight);
  };
  const scores = new Map<string, Float64Array>();
  let workLeft = options.mostWork ?? MOST_WORK;
  for (const [index, group] of groups.entries()) {
    const parts: Part[] = [];
    for (const side of group.consumers) {
      const loaded = await load(side.layer);
      if (!loaded) continue;
      const moments = options.moments?.get(side.layer) ?? [];
      parts.push(...partsOf(loaded, side, group.units, moments, options.kernels));
    }
    const seen = parts.filter(({ moments }) => moments !== null);
    if (seen.length > 0) {
      const mostWork = (UNEVEN * workLeft) / (groups.length - index);
      const { costs, work } = seenCosts(seen, group.units, { ...options, mostWork });
      workLeft -= work;
      scores.set(group.id, costs);
      continue;
    }
    const made = new Float64Array(group.units);
    for (const side of group.producers) {
      const loaded = await load(side.layer);
      if (loaded) addEnergy(made, loaded.weight, side);
    }
    scores.set(group.id, unseenCosts(parts, made));
  }
  return scores;
}

function partsOf(
  { layout, values }: LoadedMatrices,
  side: LayerUnits,
  units: number,
  moments: readonly (InputMoments | null)[],
  kernels: Kernels,
): Part[] {
  const { count, rows, columns: n } = layout;
  return Array.from({ length: count }, (_, m) => {
    const w = values.subarray(m * rows * n, (m + 1) * rows * n);
    const given = moments[m]?.n === n ? moments[m]! : null;
    const total = given ? outputEnergy({ layout: { ...layout, count: 1 }, moments: [given] }, w, kernels) : 0;
    return {
      w,
      rows,
      n,
      sets: unitColumns(columnsOfAxis(side.units, layout, m), units),
      moments: given,
      weight: total > 0 ? 1 / (total * count) : 0,
    };
  });
}

/** @returns the costs, and the multiply-adds of taking units out one after the other where that was not too much */
function seenCosts(
  parts: readonly Part[],
  units: number,
  { kernels, mostInverted = MOST_INVERTED, mostWork }: ScoreOptions & { readonly mostWork: number },
): { costs: Float64Array; work: number } {
  const costs = new Float64Array(units);
  const inverted: Consumer[] = [];
  for (const { w, rows, n, sets, moments, weight } of parts) {
    const spread = spreadOf(moments!, true);
    const inverse = spread && n <= mostInverted ? invertedSpread(spread, kernels) : null;
    if (inverse) inverted.push(consumerOf(w, rows, n, inverse, sets, weight));
    else {
      for (const [unit, set] of sets.entries())
        costs[unit]! += weight * spreadEnergy(w, rows, n, set, moments!, spread);
    }
  }
  const work = inverted.reduce((sum, { n, sets }) => sum + eliminationWork(n, sets), 0);
  if (inverted.length === parts.length && work <= mostWork) {
    return { costs: eliminationCosts(inverted, units, kernels), work };
  }
  for (const consumer of inverted) {
    for (const [unit, set] of consumer.sets.entries()) {
      costs[unit]! += consumer.weight * blockCost(consumer, set, kernels);
    }
  }
  return { costs, work: 0 };
}

/** Of each matrix the share of a unit's columns, times what makes them, which has no scale of its own. */
function unseenCosts(parts: readonly Part[], made: Float64Array): Float64Array {
  const costs = new Float64Array(made.length);
  for (const { w, rows, n, sets } of parts)
    addShares(
      costs,
      sets.map((set, unit) => columnEnergy(w, rows, n, set) * made[unit]!),
    );
  if (parts.length === 0) addShares(costs, made);
  return costs;
}

function addShares(costs: Float64Array, parts: ArrayLike<number>): void {
  const all = Array.from(parts);
  const total = all.reduce((sum, one) => sum + one, 0);
  if (total > 0) for (const [unit, one] of all.entries()) costs[unit]! += one / total;
}

/** The layer's matrices; undefined where it is fixed or of a type that is not computed with. */
export async function loadMatrices(
  layer: Layer,
  loadWeight: (layer: Layer) => Promise<LayerWeight | undefined>,
): Promise<LoadedMatrices | undefined> {
  if (layer.fixed !== null) return undefined;
  const layout = layoutOf(layer.uses[0]!.geometry, layer.dims);
  const weight = layout && (await loadWeight(layer));
  return weight ? { layout, weight, values: toMatrices(layout, weight.values) } : undefined;
}

/**
 * Columns of one matrix that each index along the weight's column axis has: one after the other as many as the kernel has
 * taps; where the axis runs through the groups of a transposed convolution, only the matrix's own part of it.
 */
export function columnsOfAxis<T extends ArrayLike<number>>(
  axis: T,
  { columns }: MatrixLayout,
  matrix: number,
): number[] {
  const first = axis.length > columns ? matrix * columns : 0;
  const taps = axis.length > columns ? 1 : columns / axis.length;
  return Array.from({ length: columns }, (_, c) => axis[first + Math.floor(c / taps)]!);
}

function unitColumns(unitOf: readonly number[], units: number): number[][] {
  const sets: number[][] = Array.from({ length: units }, () => []);
  unitOf.forEach((unit, column) => {
    if (unit >= 0) sets[unit]!.push(column);
  });
  return sets;
}

/** (C + damping)⁻¹. */
function invertedSpread({ matrix, n, damping }: Spread, kernels: Kernels): Float64Array | null {
  const factor = damped(matrix, n, damping, kernels);
  if (!factor) return null;
  const identity = new Float64Array(n * n);
  for (let i = 0; i < n; i++) identity[i * n + i] = 1;
  return kernels.solveCholesky(factor, identity, n, n);
}

/** tr(W_S·C_SS·W_Sᵀ), of the diagonal alone where there is no more. */
function spreadEnergy(
  w: FloatArray,
  rows: number,
  n: number,
  set: readonly number[],
  { diagonal, mean }: InputMoments,
  spread: Spread | null,
): number {
  let sum = 0;
  for (const i of set) {
    for (const j of spread ? set : [i]) {
      const c = spread ? spread.matrix[i * n + j]! : Math.max(0, diagonal[i]! - mean[i]! ** 2);
      for (let r = 0; r < rows; r++) sum += c * w[r * n + i]! * w[r * n + j]!;
    }
  }
  return Math.max(0, sum);
}

function columnEnergy(w: FloatArray, rows: number, n: number, set: readonly number[]): number {
  let sum = 0;
  for (const c of set) for (let r = 0; r < rows; r++) sum += w[r * n + c]! ** 2;
  return sum;
}

/** Squares of the weights that make each unit, relative to the layer's mean unit, so that layers add up. */
function addEnergy(made: Float64Array, { dims, values }: LayerWeight, { axis, units }: LayerUnits): void {
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const own = new Float64Array(made.length);
  for (let i = 0; i < values.length; i++) {
    const unit = units[Math.floor(i / inner) % units.length]!;
    if (unit >= 0) own[unit]! += values[i]! ** 2;
  }
  const mean = own.reduce((sum, one) => sum + one, 0) / own.length;
  if (mean > 0) for (const [unit, one] of own.entries()) made[unit]! += one / mean;
}
