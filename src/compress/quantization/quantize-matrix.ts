import type { Kernels } from "../../kernels/kernels.ts";
import { halved } from "../storage/coded.ts";
import { columnScaleCandidates } from "./column-scales.ts";
import { descend } from "./descent.ts";
import { fitScales } from "./fit-scales.ts";
import { gptqCodes } from "./gptq.ts";
import { codeOf, type Grid, gridValues, steps } from "./grid.ts";
import { fittedLevels, type Levels, uniformLevels } from "./levels.ts";
import type { Objective } from "./objective.ts";

/** How a matrix is quantised. JSON. */
export interface QuantizeRequest {
  /** Levels of a scaled weight: 2 to 256. */
  readonly levels: number;
  /** "palette": levels that are fitted to the weights. */
  readonly spacing: "uniform" | "palette";
  /** Columns that share a scale, a divisor of them; null for one scale a row. */
  readonly group: number | null;
  /** Try a scale for each column, or each so many columns, besides; null for none. */
  readonly columnGroup: number | null;
  /** Rounding to nearest; GPTQ; GPTQ improved by coordinate descent. Without a Gram matrix all are nearest. */
  readonly solver: "nearest" | "gptq" | "descent";
  /** Zeros of W stay zero. */
  readonly keepZeros: boolean;
  /** Scales are stored as float16. */
  readonly halfScales: boolean;
}

export interface QuantizedMatrix {
  readonly levels: Float32Array;
  /** Indices of levels, rows × columns. */
  readonly codes: Uint8Array;
  /** rows × columns/group. */
  readonly scales: Float32Array;
  readonly group: number;
  /** One a column; null where they do not help. */
  readonly columnScales: Float32Array | null;
  /** What a runtime computes with, rows × columns. */
  readonly values: Float32Array;
  /** (W − Ŵ)·E[x], to add to the layer's bias; null where the objective does not count on it. */
  readonly biasShift: Float32Array | null;
}

/** A scale for each column has to lower the error of rounding to nearest by this much to be worth its bytes. */
const WORTH = 0.9;
const SWEEPS = 4;

/** Quantises W, rows × columns, for the least tr((Ŵ−W)·H·(Ŵ−W)ᵀ) that the solver finds. Pure and deterministic. */
export function quantizeMatrix(
  w: Float32Array,
  rows: number,
  columns: number,
  objective: Objective,
  request: QuantizeRequest,
  kernels: Kernels,
): QuantizedMatrix {
  const { h, mean } = objective;
  const { keepZeros, solver } = request;
  const { grid, codes: nearest } = chooseGrid(w, rows, columns, objective, request);
  const frozen = keepZeros ? Uint8Array.from(w, (value) => (value === 0 ? 1 : 0)) : null;
  let codes = nearest;
  if (h !== null && solver !== "nearest") {
    codes = gptqCodes(w, grid, objective, keepZeros, kernels);
    if (solver === "descent") descend(codes, w, grid, h, frozen, SWEEPS, kernels);
  }
  const fitted =
    h === null || solver === "nearest" ? grid : refitted(w, grid, codes, h, request.halfScales, kernels);
  const values = gridValues(fitted, codes);
  return {
    levels: fitted.levels.values,
    codes,
    scales: fitted.scales,
    group: fitted.group,
    columnScales: fitted.columnScales,
    values,
    biasShift: mean && meanShift(w, values, rows, columns, mean),
  };
}

/** Levels, scales of rows and of columns with the least error of rounding to nearest, weighted by the diagonal of H. */
function chooseGrid(
  w: Float32Array,
  rows: number,
  columns: number,
  { diagonal }: Objective,
  request: QuantizeRequest,
): { grid: Grid; codes: Uint8Array } {
  const choose = (columnScales: Float32Array | null) => {
    const stored = columnScales && request.halfScales ? halved(columnScales) : columnScales;
    const grid = gridOf(w, rows, columns, diagonal, stored, request);
    const codes = nearestCodes(w, grid, request.keepZeros);
    return { grid, codes, error: weightedError(w, gridValues(grid, codes), columns, diagonal) };
  };
  let best = choose(null);
  if (request.columnGroup === null || columns === 0) return best;
  const plain = best.error;
  for (const scales of columnScaleCandidates(w, rows, columns, diagonal, request.columnGroup)) {
    const one = choose(scales);
    if (one.error < Math.min(best.error, WORTH * plain)) best = one;
  }
  return best;
}

function gridOf(
  w: Float32Array,
  rows: number,
  columns: number,
  diagonal: Float32Array,
  columnScales: Float32Array | null,
  request: QuantizeRequest,
): Grid {
  const group = request.group ?? columns;
  const scaled = columnScales ? w.map((value, i) => value / columnScales[i % columns]!) : w;
  const weights = columnScales
    ? diagonal.map((one, c) => one * columnScales[c]! * columnScales[c]!)
    : diagonal;
  const fitted = (levels: Levels) => fitScales(scaled, columns, group, levels, weights, request.halfScales);
  const base = { rows, columns, group, columnScales };
  if (request.spacing === "uniform") {
    const levels = uniformLevels(request.levels);
    return { ...base, levels, scales: fitted(levels) };
  }
  // Scales for an even spacing, levels for these scales, and once more.
  let scales = fitted(uniformLevels(request.levels | 1));
  let levels = paletteFor(scaled, scales, weights, group, request);
  scales = fitted(levels);
  levels = paletteFor(scaled, scales, weights, group, request);
  return { ...base, levels, scales: fitted(levels) };
}

/** Levels for w/scale, of largest size 1 or so. */
function paletteFor(
  w: Float32Array,
  scales: Float32Array,
  weights: Float32Array,
  group: number,
  { levels, keepZeros }: QuantizeRequest,
): Levels {
  const columns = weights.length;
  const top = scales.map((_, i) => {
    let most = 0;
    for (let k = i * group; k < (i + 1) * group; k++) most = Math.max(most, Math.abs(w[k]!));
    return scales[i] === 0 ? 0 : most / Math.abs(scales[i]!);
  });
  const range = top.reduce((most, one) => Math.max(most, one), 0) || 1;
  const points = w.map((value, i) => {
    const scale = scales[Math.floor(i / group)]!;
    return scale === 0 ? 0 : value / scale / range;
  });
  const masses = w.map((_, i) => {
    const scale = scales[Math.floor(i / group)]!;
    return weights[i % columns]! * scale * scale;
  });
  return fittedLevels(points, masses, levels, keepZeros);
}

function nearestCodes(w: Float32Array, grid: Grid, keepZeros: boolean): Uint8Array {
  const { levels } = grid;
  const step = steps(grid);
  const zero = levels.values.indexOf(0);
  return Uint8Array.from(w, (value, i) =>
    keepZeros && value === 0 ? zero : codeOf(levels, value, step[i]!),
  );
}

function weightedError(
  w: Float32Array,
  values: Float32Array,
  columns: number,
  diagonal: Float32Array,
): number {
  let sum = 0;
  for (let i = 0; i < w.length; i++) {
    const rest = w[i]! - values[i]!;
    sum += diagonal[i % columns]! * rest * rest;
  }
  return sum;
}

/** The scales of rows that are best for the codes that were found: s = c·H·wᵀ / c·H·cᵀ. Blocks keep theirs. */
function refitted(
  w: Float32Array,
  grid: Grid,
  codes: Uint8Array,
  h: Float32Array,
  half: boolean,
  kernels: Kernels,
): Grid {
  const { rows, columns, group, scales } = grid;
  if (group !== columns) return grid;
  const ones = new Float32Array(rows).fill(1);
  const units = gridValues({ ...grid, scales: ones }, codes);
  const products = kernels.matmul(units, h, rows, columns, columns);
  const fitted = scales.map((scale, row) => {
    let [cross, square] = [0, 0];
    for (let at = row * columns; at < (row + 1) * columns; at++) {
      cross += products[at]! * w[at]!;
      square += products[at]! * units[at]!;
    }
    const best = square > 0 ? Math.fround(cross / square) : scale;
    // Never far from where the codes were chosen: a code that is all noise has no scale of its own.
    return Math.abs(best - scale) <= 0.25 * Math.abs(scale) ? best : scale;
  });
  return { ...grid, scales: half ? halved(fitted) : fitted };
}

function meanShift(
  w: Float32Array,
  values: Float32Array,
  rows: number,
  columns: number,
  mean: Float32Array,
): Float32Array {
  return Float32Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += (w[row * columns + c]! - values[row * columns + c]!) * mean[c]!;
    return sum;
  });
}
