import type { Kernels } from "../../kernels/kernels.ts";
import { halved } from "../storage/coded.ts";
import { descend } from "./descent.ts";
import { fitScales } from "./fit-scales.ts";
import { gptqCodes } from "./gptq.ts";
import { codeOf, type Grid, gridValues } from "./grid.ts";
import { evenLevels, fittedLevels, type Levels, uniformLevels } from "./levels.ts";
import type { Objective } from "./objective.ts";

/** How a matrix is quantised. JSON. */
export interface QuantizeRequest {
  /** Levels of a scaled weight: 2 to 256. */
  readonly levels: number;
  /** "palette": levels that are fitted to the weights. */
  readonly spacing: "uniform" | "palette";
  /** Columns that share a scale, a divisor of them; null for one scale a row. */
  readonly group: number | null;
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
  /** What a runtime computes with, rows × columns. */
  readonly values: Float32Array;
}

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
  const { h } = objective;
  const { keepZeros, solver } = request;
  const grid = gridOf(w, rows, columns, objective, request, kernels);
  if (h === null || solver === "nearest") return quantized(grid, nearestCodes(w, grid, keepZeros, kernels));
  const codes = gptqCodes(w, grid, objective, keepZeros, kernels);
  const frozen = keepZeros ? Uint8Array.from(w, (value) => (value === 0 ? 1 : 0)) : null;
  if (solver === "descent") descend(codes, w, grid, h, frozen, SWEEPS, kernels);
  return quantized(refitted(w, grid, codes, h, request.halfScales, kernels), codes);
}

function quantized(grid: Grid, codes: Uint8Array): QuantizedMatrix {
  const { levels, scales, group } = grid;
  return { levels: levels.values, codes, scales, group, values: gridValues(grid, codes) };
}

/** Levels and scales with little error of rounding to nearest, weighted by the diagonal of H. */
function gridOf(
  w: Float32Array,
  rows: number,
  columns: number,
  { diagonal }: Objective,
  request: QuantizeRequest,
  kernels: Kernels,
): Grid {
  const group = request.group ?? columns;
  const fitted = (levels: Levels) => fitScales(w, group, levels, diagonal, request.halfScales, kernels);
  const base = { rows, columns, group };
  if (request.spacing === "uniform") {
    const levels = uniformLevels(request.levels);
    return { ...base, levels, scales: fitted(levels) };
  }
  // Scales for an even spacing, levels for these scales, and once more.
  let scales = fitted(uniformLevels(request.levels | 1));
  let levels = paletteFor(w, scales, diagonal, group, request);
  scales = fitted(levels);
  levels = paletteFor(w, scales, diagonal, group, request);
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

function nearestCodes(w: Float32Array, grid: Grid, keepZeros: boolean, kernels: Kernels): Uint8Array {
  const { levels, scales, group } = grid;
  // Zero is one of the even levels, and no other is nearer to it.
  if (levels.uniform) return kernels.nearestCodes(w, scales, evenLevels(levels, group));
  const zero = levels.values.indexOf(0);
  const codes = new Uint8Array(w.length);
  for (let i = 0; i < scales.length; i++) {
    const scale = scales[i]!;
    for (let at = i * group; at < (i + 1) * group; at++) {
      const value = w[at]!;
      codes[at] = keepZeros && value === 0 ? zero : codeOf(levels, value, scale);
    }
  }
  return codes;
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
