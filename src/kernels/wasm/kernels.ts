import {
  type AdmmProblem,
  type AdmmStep,
  type EvenLevels,
  type FistaPoint,
  type Kernels,
  NotPositiveDefiniteError,
  type ObsMask,
  type ObsOrder,
  type ProximalProblem,
  type QuantizationGrid,
  requireFinite,
} from "../kernels.ts";
import { type Call, WasmMemory } from "./memory.ts";

/** How `walkColumns` finds what stands in an entry's place; as in assembly/obs.ts. */
const WALK = { unstructured: 0, "n:m": 1, given: 2, quantize: 3 } as const;

/** Regularisers; as in assembly/proximal.ts. */
const REGULARIZER = { l1: 0, l0: 1, hoyer_square: 2, group_hoyer_square: 3, transformed_l1: 4 } as const;

/** The kernels in WASM with relaxed SIMD, over a module that a host has loaded. */
export function wasmKernels(module: WebAssembly.Module): Kernels {
  const memory = new WasmMemory(module);
  return {
    name: "wasm",
    memoryBytes: () => memory.most,
    matmul: (a, b, m, k, n) => memory.call((call) => multiply(call, a, b, m, k, n, false)),
    matmulTransposed: (a, b, m, k, n) => memory.call((call) => multiply(call, a, b, m, k, n, true)),
    addGram: (gram, x, rows, n) =>
      memory.call((call) => {
        const [g, at] = [call.put(gram), call.put(x)];
        call.wasm.addGram(g, at, rows, n);
        gram.set(call.floats(g, n * n));
      }),
    cholesky: (a, n) =>
      memory.call((call) => {
        const [l, limits] = [call.put(a), call.room(n * 8)];
        if (call.wasm.factor(l, n, limits) === 0) throw new NotPositiveDefiniteError(n);
        return call.doubles(l, n * n).slice();
      }),
    solveCholesky: (l, b, n, m) =>
      memory.call((call) => {
        const [factor, x] = [call.put(l), call.put(b)];
        call.wasm.solve(factor, x, n, m);
        return call.doubles(x, n * m).slice();
      }),
    inverseFactor: (h, n) =>
      memory.call((call) => {
        const [u, work] = [call.putDoubles(h), call.room(call.wasm.inverseWork(n) * 8)];
        if (call.wasm.inverse(u, n, work) === 0) throw new NotPositiveDefiniteError(n);
        return call.floats(u, n * n).slice();
      }),
    eigen: (a, n) => memory.call((call) => eigen(call, a, n)),
    svd: (a, m, n) => {
      if (m >= n) return memory.call((call) => tallSvd(call, a, m, n));
      const { u, s, v } = memory.call((call) => tallSvd(call, transposed(a, m, n), n, m));
      return { u: v, s, v: u };
    },
    obsPrune: (w, u, m, n, mask) => memory.call((call) => obsPrune(call, w, u, m, n, mask)),
    obsQuantize: (w, u, m, n, grid) => memory.call((call) => obsQuantize(call, w, u, m, n, grid)),
    obsOrder: (w, u, m, n, zeros, group) => memory.call((call) => obsOrder(call, w, u, m, n, zeros, group)),
    fistaStep: (problem, forward, before, momentum, t) =>
      memory.call((call) => fistaStep(call, problem, forward, before, momentum, t)),
    fitScales: (w, weights, levels, half) => memory.call((call) => fitScales(call, w, weights, levels, half)),
    nearestCodes: (w, scales, levels) => memory.call((call) => nearestCodes(call, w, scales, levels)),
    admmStep: (problem, v, zeroed, step) => memory.call((call) => admmStep(call, problem, v, zeroed, step)),
  };
}

function multiply(
  call: Call,
  a: Float32Array,
  b: Float32Array,
  m: number,
  k: number,
  n: number,
  byTransposed: boolean,
): Float32Array {
  const [left, right, c] = [call.put(a), call.put(b), call.room(m * n * 4)];
  call.wasm.matmul(left, right, c, m, k, n, byTransposed);
  return call.floats(c, m * n).slice();
}

function eigen(call: Call, a: Float64Array, n: number): { values: Float64Array; vectors: Float64Array } {
  requireFinite(a);
  const values = new Float64Array(n);
  const vectors = new Float64Array(n * n);
  if (n === 0) return { values, vectors };
  const d = call.room(n * 8);
  const panels = call.room(Math.ceil(n / PANEL) * PANEL * n * 8);
  const work = call.room(call.wasm.eigenWork(n) * 8);
  call.wasm.symmetricEigen(call.put(a), n, d, panels, work);
  const found = call.doubles(d, n);
  const v = call.doubles(panels, Math.ceil(n / PANEL) * PANEL * n);
  falling(found).forEach((from, to) => {
    const entry = (row: number) => v[(Math.floor(row / PANEL) * n + from) * PANEL + (row % PANEL)]!;
    const sign = signOf(entry, n);
    values[to] = found[from]!;
    for (let row = 0; row < n; row++) vectors[row * n + to] = sign * entry(row);
  });
  return { values, vectors };
}

/** Rows of the eigenvectors that lie side by side; as in assembly/eigen.ts. */
const PANEL = 8;

function tallSvd(
  call: Call,
  a: Float64Array,
  m: number,
  n: number,
): { u: Float64Array; s: Float64Array; v: Float64Array } {
  requireFinite(a);
  const [u, s, v] = [new Float64Array(m * n), new Float64Array(n), new Float64Array(n * n)];
  if (n === 0) return { u, s, v };
  const left = call.room(m * n * 8);
  const right = call.room(n * n * 8);
  const work = call.room(call.wasm.svdWork(n) * 8);
  const power = call.wasm.thinSvd(call.put(a), m, n, left, right, work);
  const rows = Array.from({ length: n }, (_, j) => call.doubles(left + j * m * 8, m));
  const norms = Float64Array.from(rows, norm);
  const order = falling(norms);
  const negligible = 1e-15 * norms[order[0]!]!;
  order.forEach((from, to) => {
    const vector = call.doubles(right + from * n * 8, n);
    const sign = signOf((i) => vector[i]!, n);
    s[to] = norms[from]! * power;
    for (let i = 0; i < n; i++) v[i * n + to] = sign * vector[i]!;
    if (norms[from]! <= negligible) return;
    const factor = sign / norms[from]!;
    for (let i = 0; i < m; i++) u[i * n + to] = factor * rows[from]![i]!;
  });
  return { u, s, v };
}

function obsPrune(
  call: Call,
  w: Float32Array,
  u: Float32Array,
  m: number,
  n: number,
  mask: ObsMask,
): Float32Array {
  const group = mask.kind === "n:m" ? mask.group : 1;
  const block = Math.max(1, Math.floor(mask.blockSize / group)) * group;
  const [weight, factor, work] = [call.put(w), call.put(u), call.room(call.wasm.obsWork(m, n, block) * 4)];
  call.wasm.walkColumns(
    ...[weight, factor, m, n, block, WALK[mask.kind]],
    mask.kind === "given" ? call.put(mask.pruned) : 0,
    mask.kind === "unstructured" ? mask.ratio : 0,
    mask.kind === "n:m" ? mask.zeros : 0,
    group,
    ...[0, 0, 0, 0, work],
  );
  return call.floats(weight, m * n).slice();
}

function obsQuantize(
  call: Call,
  w: Float32Array,
  u: Float32Array,
  m: number,
  n: number,
  grid: QuantizationGrid,
): { codes: Int8Array; values: Float32Array } {
  const [weight, factor, scales] = [call.put(w), call.put(u), call.put(grid.scales)];
  const codes = call.room(m * n);
  const work = call.room(call.wasm.obsWork(m, n, grid.blockSize) * 4);
  const marks = grid.keepZeros ? call.put(zerosOf(w)) : 0;
  call.wasm.walkColumns(
    ...[weight, factor, m, n, grid.blockSize, WALK.quantize, marks],
    ...[0, 0, grid.group, scales, grid.least, grid.most, codes, work],
  );
  return { codes: call.bytes(codes, m * n).slice(), values: call.floats(weight, m * n).slice() };
}

function obsOrder(
  call: Call,
  w: Float32Array,
  u: Float32Array,
  m: number,
  n: number,
  zeros: number,
  group: number,
): ObsOrder {
  const taken = m * (n / group) * zeros;
  const [columns, losses] = [call.room(taken * 4), call.room(taken * 8)];
  const [weight, factor, work] = [call.put(w), call.putDoubles(u), call.room(call.wasm.orderWork(n))];
  call.wasm.obsOrder(weight, factor, m, n, zeros, group, columns, losses, work);
  return { columns: call.integers(columns, taken).slice(), losses: call.doubles(losses, taken).slice() };
}

function fistaStep(
  call: Call,
  { m, n, segment, w, h, norm, regularizer }: ProximalProblem,
  forward: Float32Array,
  before: Float32Array,
  momentum: number,
  t: number,
): FistaPoint {
  const kind = REGULARIZER[regularizer];
  const [x, next, difference, hessian] = [call.put(forward), call.put(before), call.put(w), call.put(h)];
  const [sums, work] = [call.room(16), call.room(call.wasm.proximalWork(m, n, kind) * 4)];
  call.wasm.fistaStep(
    ...[x, next, difference, hessian, h.length === n ? 1 : 0, m, n, segment],
    ...[norm, kind, momentum, t, sums, work],
  );
  const [error, penalty] = call.doubles(sums, 2) as unknown as [number, number];
  const count = m * n;
  return { x: call.floats(x, count).slice(), forward: call.floats(next, count).slice(), error, penalty };
}

function admmStep(
  call: Call,
  { m, n, w, values, vectors }: AdmmProblem,
  v: Float32Array,
  zeroed: Uint8Array,
  { penalty, decay, relaxation }: AdmmStep,
): Float32Array {
  const next = call.put(v);
  call.wasm.admmStep(
    ...[next, call.put(zeroed), call.put(w), call.put(values), call.put(vectors)],
    ...[m, n, penalty, decay, relaxation, call.room(m * n * 4)],
  );
  return call.floats(next, m * n).slice();
}

/** Weights that are in the memory at once where rows do not depend on each other: they stay in the second-level cache. */
const STRIP = 2 ** 16;

function fitScales(
  call: Call,
  w: Float32Array,
  weights: Float32Array,
  { least, most, group }: EvenLevels,
  half: boolean,
): Float32Array {
  const n = weights.length;
  const found = new Float32Array(w.length / group || 0);
  const strip = Math.max(1, Math.floor(STRIP / n)) * n;
  const [theirs, work] = [call.put(weights), call.room(call.wasm.scalesWork(group))];
  const [at, scales] = [call.room(strip * 4), call.room((strip / group) * 4)];
  for (let from = 0; from < w.length; from += strip) {
    const part = w.subarray(from, from + strip);
    const groups = part.length / group;
    call.floats(at, part.length).set(part);
    call.wasm.fitScales(at, groups, group, theirs, n, least, most, half ? 1 : 0, scales, work);
    found.set(call.floats(scales, groups), from / group);
  }
  return found;
}

function nearestCodes(
  call: Call,
  w: Float32Array,
  scales: Float32Array,
  { least, most, group }: EvenLevels,
): Uint8Array {
  const found = new Uint8Array(w.length);
  const strip = Math.max(1, Math.floor(STRIP / group)) * group;
  // Codes are written four at a time.
  const [at, steps, codes] = [
    call.room(strip * 4 + 16),
    call.room((strip / group) * 4),
    call.room(strip + 4),
  ];
  for (let from = 0; from < w.length; from += strip) {
    const part = w.subarray(from, from + strip);
    const groups = part.length / group;
    call.floats(at, part.length).set(part);
    call.floats(steps, groups).set(scales.subarray(from / group, from / group + groups));
    call.wasm.nearestCodes(at, groups, group, steps, least, most, codes);
    found.set(call.bytes(codes, part.length), from);
  }
  return found;
}

/** 1 where an entry is zero. */
function zerosOf(w: Float32Array): Uint8Array {
  const marks = new Uint8Array(w.length);
  for (let i = 0; i < w.length; i++) if (w[i] === 0) marks[i] = 1;
  return marks;
}

/** Indices of the values from the largest down. */
function falling(values: Float64Array): number[] {
  return Array.from(values, (_, i) => i).sort((i, j) => values[j]! - values[i]! || i - j);
}

/** −1 where the largest entry, the first of equals, is negative. */
function signOf(entry: (index: number) => number, count: number): number {
  let largest = 0;
  for (let i = 0; i < count; i++) if (Math.abs(entry(i)) > Math.abs(largest)) largest = entry(i);
  return largest < 0 ? -1 : 1;
}

function norm(x: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * x[i]!;
  return Math.sqrt(sum);
}

function transposed(a: Float64Array, m: number, n: number): Float64Array {
  const t = new Float64Array(m * n);
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) t[j * m + i] = a[i * n + j]!;
  return t;
}
