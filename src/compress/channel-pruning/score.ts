import type { Kernels } from "../../kernels/kernels.ts";
import type { FloatArray } from "../../kernels/reference/matmul.ts";
import type { Layer } from "../../onnx/layers.ts";
import { type InputMoments, quadratic } from "../input-moments.ts";
import { layoutOf, type MatrixLayout, toMatrices } from "../layer-matrix.ts";
import { readWeight } from "../layer-of-model.ts";
import type { LayerWeight } from "../weight.ts";
import type { ChannelGroup, LayerUnits } from "./groups.ts";
import { choleskyOf, damped, spreadOf } from "./refit.ts";

/** Second moments of the inputs of each layer's matrices, by the layer's name; null where nothing was seen. */
export type LayerMoments = ReadonlyMap<string, readonly (InputMoments | null)[]>;

export interface ScoreOptions {
  readonly moments: LayerMoments | null;
  readonly kernels: Kernels;
  readonly loadWeight?: (layer: Layer) => Promise<LayerWeight | undefined>;
  /** Inputs of a matrix up to which its moments are inverted. */
  readonly mostInverted?: number;
}

const MOST_INVERTED = 1024;

/** A weight as matrices, ready to be scored. */
export interface LoadedMatrices {
  readonly layout: MatrixLayout;
  readonly weight: LayerWeight;
  /** count × rows × columns. */
  readonly values: Float32Array;
}

/**
 * How much each unit of each group matters, by the group's id: the error that its removal adds to the layers that sum
 * over it, relative to what they give, added up over them. With moments, what is left after the other columns and the
 * bias have made up for it: tr(W_S·([C⁻¹]_SS)⁻¹·W_Sᵀ) (optimal brain surgeon, for a block of columns; C the damped
 * covariance), or tr(W_S·C_SS·W_Sᵀ) where C is not inverted. Without, by the norms of the columns and of what makes
 * them. A group that no layer sums over scores by what makes it.
 */
export async function scoreUnits(
  layers: readonly Layer[],
  groups: readonly ChannelGroup[],
  options: ScoreOptions,
): Promise<Map<string, Float64Array>> {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const scores = new Map(groups.map((group) => [group.id, new Float64Array(group.units)]));
  const load = async (name: string) => {
    const layer = byName.get(name);
    return layer && loadMatrices(layer, options.loadWeight ?? readWeight);
  };
  const consumers = new Map<string, { group: ChannelGroup; side: LayerUnits }[]>();
  const made = new Map<string, Float64Array>();
  for (const group of groups) {
    made.set(group.id, new Float64Array(group.units));
    for (const side of group.consumers) {
      consumers.set(side.layer, [...(consumers.get(side.layer) ?? []), { group, side }]);
    }
    for (const side of group.producers) {
      const loaded = await load(side.layer);
      if (loaded) addEnergy(made.get(group.id)!, loaded.weight, side);
    }
  }
  for (const [name, uses] of consumers) {
    const loaded = await load(name);
    if (!loaded) continue;
    const { layout, values } = loaded;
    const { count, rows, columns } = layout;
    for (let m = 0; m < count; m++) {
      const w = values.subarray(m * rows * columns, (m + 1) * rows * columns);
      const moments = options.moments?.get(name)?.[m] ?? null;
      const cost = moments ? columnCost(w, rows, columns, moments, options) : null;
      for (const { group, side } of uses) {
        const strength = cost ? null : made.get(group.id)!;
        const each = unitColumns(columnsOfAxis(side.units, layout, m), group.units).map((set, unit) =>
          cost ? cost(set) : columnEnergy(w, rows, columns, set) * (strength?.[unit] ?? 1),
        );
        // Without samples what a unit's columns receive goes by what makes it, which has no scale of its own.
        const total = cost ? quadratic(w, rows, columns, moments) : each.reduce((sum, one) => sum + one, 0);
        if (!(total > 0)) continue;
        const score = scores.get(group.id)!;
        each.forEach((one, unit) => {
          score[unit]! += Math.max(0, one) / total / count;
        });
      }
    }
  }
  for (const group of groups) {
    if (group.consumers.some(({ layer }) => byName.has(layer))) continue;
    const energy = made.get(group.id)!;
    const total = energy.reduce((sum, one) => sum + one, 0);
    if (total > 0)
      scores.set(
        group.id,
        energy.map((one) => one / total),
      );
  }
  return scores;
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

/** What removing a set of columns costs one matrix. */
function columnCost(
  w: FloatArray,
  rows: number,
  n: number,
  moments: InputMoments,
  { kernels, mostInverted = MOST_INVERTED }: ScoreOptions,
): (set: readonly number[]) => number {
  const spread = spreadOf(moments, true);
  const inverse = spread && n <= mostInverted ? inverted(spread.matrix, n, spread.damping, kernels) : null;
  if (inverse) {
    return (set) => {
      const block = submatrix(inverse, n, set);
      const factor = choleskyOf(block, set.length, kernels);
      const right = columnsOf(w, rows, n, set);
      const solved = factor && kernels.solveCholesky(factor, right, set.length, rows);
      return solved
        ? solved.reduce((sum, one, i) => sum + one * right[i]!, 0)
        : columnEnergy(w, rows, n, set);
    };
  }
  return (set) => {
    const right = columnsOf(w, rows, n, set);
    let sum = 0;
    set.forEach((i, a) => {
      set.forEach((j, b) => {
        const variance = Math.max(0, moments.diagonal[i]! - moments.mean[i]! ** 2);
        const c = spread ? spread.matrix[i * n + j]! : i === j ? variance : 0;
        for (let r = 0; r < rows; r++) sum += c * right[a * rows + r]! * right[b * rows + r]!;
      });
    });
    return sum;
  };
}

function inverted(matrix: Float64Array, n: number, damping: number, kernels: Kernels): Float64Array | null {
  const factor = damped(matrix, n, damping, kernels);
  if (!factor) return null;
  const identity = new Float64Array(n * n);
  for (let i = 0; i < n; i++) identity[i * n + i] = 1;
  return kernels.solveCholesky(factor, identity, n, n);
}

function submatrix(matrix: Float64Array, n: number, set: readonly number[]): Float64Array {
  const part = new Float64Array(set.length * set.length);
  set.forEach((i, a) => {
    set.forEach((j, b) => {
      part[a * set.length + b] = matrix[i * n + j]!;
    });
  });
  return part;
}

/** W_Sᵀ, set × rows. */
function columnsOf(w: FloatArray, rows: number, n: number, set: readonly number[]): Float64Array {
  const part = new Float64Array(set.length * rows);
  set.forEach((c, a) => {
    for (let r = 0; r < rows; r++) part[a * rows + r] = w[r * n + c]!;
  });
  return part;
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
