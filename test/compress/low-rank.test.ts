import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Form } from "../../src/compress/forms/form.ts";
import { type FormLayer, formError } from "../../src/compress/forms/solution.ts";
import { type InputMoments, layerError } from "../../src/compress/input-moments.ts";
import { activationAwareSvd } from "../../src/compress/low-rank/activation-aware-svd.ts";
import { alternating } from "../../src/compress/low-rank/alternating.ts";
import { prepareBasisSharing } from "../../src/compress/low-rank/basis-sharing.ts";
import { prepareLowRank } from "../../src/compress/low-rank/low-rank.ts";
import { metricOf } from "../../src/compress/low-rank/metric.ts";
import { reducedMoments } from "../../src/compress/low-rank/reduced-moments.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { matmul } from "../../src/kernels/reference/matmul.ts";
import { correlatedMoments, momentsOf, solved } from "./forms-layer.ts";
import { floats } from "./tiny.ts";

/** A convolution's layer straight from its shape: no model needed. */
function convolution(
  dims: readonly [outputs: number, inputs: number, ...kernel: number[]],
  moments: (n: number) => InputMoments | null = (n) => correlatedMoments(n),
  seed = 1,
): FormLayer {
  const [rows, inputs, ...kernel] = dims;
  const columns = kernel.reduce((product, dim) => product * dim, inputs);
  const axes = kernel.length;
  return {
    target: {
      op: "Conv",
      dims,
      otherTransposed: false,
      geometry: {
        kind: "convolution",
        transposed: false,
        groups: 1,
        inputChannels: inputs,
        outputChannels: rows,
        window: {
          kernel,
          strides: new Array(axes).fill(1),
          dilations: new Array(axes).fill(1),
          pads: new Array(2 * axes).fill(0),
          outputPadding: new Array(axes).fill(0),
          autoPad: "NOTSET",
          ceil: false,
        },
        batch: 1,
        inputSize: null,
        outputSize: null,
      },
    },
    layout: { count: 1, rows, columns, transposed: false },
    matrices: floats(dims, seed),
    moments: [moments(columns)],
  };
}

/** A MatMul's layer, its weight given as rows × columns. */
function product(
  rows: number,
  columns: number,
  seed = 1,
  moments = correlatedMoments(columns, seed),
): FormLayer {
  return {
    target: {
      op: "MatMul",
      dims: [columns, rows],
      otherTransposed: false,
      geometry: {
        kind: "matrix",
        left: false,
        inputAxis: 0,
        outputAxis: 1,
        inputFeatures: columns,
        outputFeatures: rows,
        rows: 1,
      },
    },
    layout: { count: 1, rows, columns, transposed: true },
    matrices: floats([rows, columns], seed + 7),
    moments: [moments],
  };
}

/** The layer error of what the same solver makes of the weight alone. */
function dataFreeError(layer: FormLayer, form: Form): number {
  const { dense } = solved({ ...layer, moments: layer.moments.map(() => null) }, form);
  return formError(layer, dense, kernels);
}

const sharing = (bases: number): Form => ({ kind: "kernel_sharing", order: "basis_first", bases });

describe("activation-aware SVD", () => {
  for (const [rows, columns] of [
    [6, 14],
    [14, 6],
    [9, 9],
    [1, 5],
  ] as const) {
    test(`of ${rows} × ${columns} is Eckart and Young's optimum in the whitened space, to 1e-6`, () => {
      const w = floats([rows, columns], 3);
      const moments = correlatedMoments(columns, 2);
      const root = kernels.cholesky(Float64Array.from(moments.gram!), columns);
      const { s } = kernels.svd(matmul(w, root, rows, columns, columns), rows, columns);
      const energy = s.reduce((sum, one) => sum + one * one, 0);
      const solver = activationAwareSvd(w, rows, metricOf(moments, columns, 0), kernels);
      for (let rank = 1; rank <= s.length; rank++) {
        const least = s.subarray(rank).reduce((sum, one) => sum + one * one, 0) / energy;
        const { left, right } = solver.at(rank);
        const dense = kernels.matmul(left, right, rows, rank, columns);
        expect(Math.abs(layerError(w, dense, rows, columns, moments) - least)).toBeLessThan(1e-6);
        expect(Math.abs(solver.tail[rank]! - least)).toBeLessThan(1e-6);
      }
    });
  }

  test("asked for more than full rank gives full rank", () => {
    const { at } = activationAwareSvd(floats([3, 5]), 3, metricOf(null, 5), kernels);
    expect(at(9).rank).toBe(3);
  });
});

describe("full rank loses less than 1e-6", () => {
  const layer = convolution([6, 4, 3, 2]);
  const cases: [string, FormLayer, Form][] = [
    ["low rank", layer, { kind: "low_rank", rank: 6 }],
    ["low rank of a tall matrix", product(14, 5), { kind: "low_rank", rank: 5 }],
    ["kernel sharing", layer, sharing(6)],
    ["spatial", layer, { kind: "spatial", axis: 0, rank: 12 }],
    ["spatial, the other axis first", layer, { kind: "spatial", axis: 1, rank: 8 }],
    ["Tucker-2", layer, { kind: "tucker", inputRank: 4, outputRank: 6 }],
    ["Tucker-2 without the output's side", layer, { kind: "tucker", inputRank: 4, outputRank: null }],
  ];
  test.each(cases)("%s", (_, one, form) => {
    const { error, dense } = solved(one, form);
    expect(error).toBeLessThan(1e-6);
    expect(layerError(one.matrices, dense, one.layout.rows, one.layout.columns, null)).toBeLessThan(1e-4);
  });
});

test("the reported error is layerError's, to 1e-5 of it", () => {
  const layer = convolution([6, 4, 3, 3]);
  for (const form of [sharing(3), { kind: "low_rank", rank: 3 } as const]) {
    const { error, dense } = solved(layer, form);
    const slow = layerError(layer.matrices, dense, 6, 36, layer.moments[0]!);
    expect(Math.abs(error / slow - 1)).toBeLessThan(1e-5);
  }
});

test("calibrated is never worse than data-free at equal rank, to 1e-4 of the error", () => {
  const forms = fc.oneof(
    fc.integer({ min: 1, max: 6 }).map((rank): Form => ({ kind: "low_rank", rank })),
    fc.integer({ min: 1, max: 6 }).map(sharing),
    fc
      .record({ axis: fc.integer({ min: 0, max: 1 }), rank: fc.integer({ min: 1, max: 6 }) })
      .map((one): Form => ({ kind: "spatial", ...one })),
    fc
      .record({ inputRank: fc.integer({ min: 1, max: 4 }), outputRank: fc.integer({ min: 1, max: 5 }) })
      .map((one): Form => ({ kind: "tucker", ...one })),
  );
  const shape = fc.record({
    outputs: fc.integer({ min: 2, max: 7 }),
    inputs: fc.integer({ min: 2, max: 5 }),
    height: fc.integer({ min: 2, max: 3 }),
    width: fc.integer({ min: 2, max: 3 }),
    seed: fc.nat(1000),
    samples: fc.constantFrom(1, 5, 200),
    form: forms,
  });
  fc.assert(
    fc.property(shape, ({ outputs, inputs, height, width, seed, samples, form }) => {
      const layer = convolution(
        [outputs, inputs, height, width],
        (n) => correlatedMoments(n, seed, samples),
        seed,
      );
      const { error, dense } = solved(layer, form);
      expect(dense.every(Number.isFinite)).toBe(true);
      expect(error).toBeLessThanOrEqual(dataFreeError(layer, form) * (1 + 1e-4) + 1e-9);
    }),
    { numRuns: 150, seed: 3 },
  );
});

test("on correlated inputs calibration loses at least a quarter less", () => {
  const layer = convolution([12, 8, 3, 3]);
  const forms: Form[] = [
    { kind: "low_rank", rank: 4 },
    sharing(3),
    { kind: "spatial", axis: 0, rank: 6 },
    { kind: "tucker", inputRank: 4, outputRank: 6 },
  ];
  for (const form of forms) expect(solved(layer, form).error).toBeLessThan(0.75 * dataFreeError(layer, form));
});

describe("alternating least squares", () => {
  test("never raises the error, and sweeps help", () => {
    let gained = 0;
    for (const [blocks, columns, inner] of [
      [5, 9, 1],
      [1, 15, 3],
      [1, 5, 9],
    ] as const) {
      const n = blocks * columns * inner;
      const part = {
        w: floats([7, n], n),
        rows: 7,
        kronecker: { blocks, columns, inner },
        metric: metricOf(correlatedMoments(n, 4), n),
        weight: 1,
      };
      const { history } = alternating([part], kernels).at(3, { sweeps: 12 });
      for (let i = 1; i < history.length; i++) expect(history[i]!).toBeLessThan(history[i - 1]!);
      gained += 1 - history.at(-1)! / history[0]!;
    }
    expect(gained).toBeGreaterThan(0.05);
  });

  test("finds factors that are there: an exact kernel basis of three, to 1e-6", () => {
    const [outputs, inputs, size] = [8, 6, 9];
    const basis = floats([3, size], 5);
    const dense = kernels.matmul(floats([outputs * inputs, 3], 6), basis, outputs * inputs, 3, size);
    const layer = { ...convolution([outputs, inputs, 3, 3]), matrices: dense };
    expect(solved(layer, sharing(3)).error).toBeLessThan(1e-6);
    expect(solved(layer, sharing(2)).error).toBeGreaterThan(1e-4);
  });

  test("at full output rank kernel sharing of one input channel is its activation-aware SVD, to 1e-4 of the error", () => {
    const layer = convolution([12, 1, 3, 3]);
    const w = layer.matrices;
    const metric = metricOf(layer.moments[0]!, 9);
    const part = { w, rows: 12, kronecker: { blocks: 1, columns: 9, inner: 1 }, metric, weight: 1 };
    for (const rank of [2, 4]) {
      const least = activationAwareSvd(w, 12, metric, kernels).tail[rank]!;
      const { history } = alternating([part], kernels).at(rank);
      expect(Math.abs(history.at(-1)! / least - 1)).toBeLessThan(1e-4);
    }
  });
});

describe("degenerate layers give finite factors", () => {
  const forms: Form[] = [
    { kind: "low_rank", rank: 2 },
    sharing(2),
    { kind: "spatial", axis: 0, rank: 2 },
    { kind: "tucker", inputRank: 2, outputRank: 2 },
  ];
  const dead = (n: number): InputMoments => {
    const x = floats([40, n], 9);
    for (let i = 0; i < x.length; i++) if (i % n < n / 2) x[i] = 0;
    return momentsOf(x, 40, n);
  };
  const diagonal = (n: number): InputMoments => ({ ...correlatedMoments(n), gram: null });
  const zero = (n: number): InputMoments => momentsOf(new Float32Array(n), 1, n);
  const ones = (n: number): InputMoments => momentsOf(new Float32Array(n).fill(1), 1, n);
  const layers: [string, FormLayer][] = [
    ["dead inputs", convolution([4, 4, 3, 3], dead)],
    ["a single sample", convolution([4, 4, 3, 3], (n) => momentsOf(floats([1, n]), 1, n))],
    ["a constant input", convolution([4, 4, 3, 3], ones)],
    ["inputs that are all zero", convolution([4, 4, 3, 3], zero)],
    ["only a diagonal", convolution([4, 4, 3, 3], diagonal)],
    ["no moments", convolution([4, 4, 3, 3], () => null)],
    ["a weight of zeros", { ...convolution([4, 4, 3, 3]), matrices: new Float32Array(144) }],
    ["equal kernels", { ...convolution([4, 4, 3, 3]), matrices: new Float32Array(144).fill(0.5) }],
    ["two channels", convolution([1, 2, 2, 2])],
  ];
  test.each(layers)("%s", (_, layer) => {
    for (const form of forms) {
      const { weights, dense, error } = solved(layer, form);
      for (const { values } of weights) expect(values.every(Number.isFinite)).toBe(true);
      expect(dense.every(Number.isFinite)).toBe(true);
      expect(error).toBeGreaterThanOrEqual(0);
      expect(error).toBeLessThanOrEqual(1.0001);
    }
  });

  test("rank goes to the inputs that live: half of the inputs dead, half the rank is exact to 1e-3", () => {
    const layer = product(8, 8, 1, dead(8));
    expect(prepareLowRank(layer, kernels).at(4).error).toBeLessThan(1e-3);
    expect(dataFreeError(layer, { kind: "low_rank", rank: 4 })).toBeGreaterThan(0.01);
  });

  test("with the diagonal alone it still beats data-free", () => {
    const uneven = (n: number): InputMoments => {
      const x = floats([60, n], 2).map((one, i) => one * (1 + 9 * ((i % n) % 2)));
      return { ...momentsOf(x, 60, n), gram: null };
    };
    const layer = convolution([6, 4, 3, 3], uneven);
    for (const form of forms) expect(solved(layer, form).error).toBeLessThan(dataFreeError(layer, form));
  });
});

describe("Basis Sharing", () => {
  const layers = [product(7, 10, 1), product(9, 10, 2), product(7, 10, 3)];

  test("one right factor for all layers, each with its own left one", () => {
    const solutions = prepareBasisSharing(layers, kernels).at(4);
    const [first, ...others] = solutions.map(({ weights }) => weights[0]!);
    for (const other of others) expect(other.values).toEqual(first!.values);
    expect(solutions.map(({ weights }) => weights[1]!.values.length)).toEqual([28, 36, 28]);
  });

  test("loses no more than the stacked SVD, and no less than each layer's own low rank", () => {
    const stacked = Float32Array.from(layers.flatMap(({ matrices }) => [...matrices]));
    for (const rank of [2, 5, 8]) {
      const { left, right } = activationAwareSvd(stacked, 23, metricOf(null, 10), kernels).at(rank);
      const plain = kernels.matmul(left, right, 23, rank, 10);
      const solutions = prepareBasisSharing(layers, kernels).at(rank);
      let at = 0;
      let [shared, free] = [0, 0];
      layers.forEach((layer, i) => {
        const size = layer.matrices.length;
        free += formError(layer, plain.subarray(at, at + size), kernels);
        shared += solutions[i]!.error;
        at += size;
        expect(solutions[i]!.error).toBeGreaterThanOrEqual(
          prepareLowRank(layer, kernels).at(rank).error * 0.999,
        );
      });
      expect(shared).toBeLessThan(free);
    }
  });

  test("of one layer alone is its low rank, to 1e-4 of the error", () => {
    const own = prepareLowRank(layers[0]!, kernels).at(3).error;
    expect(Math.abs(prepareBasisSharing([layers[0]!], kernels).at(3)[0]!.error / own - 1)).toBeLessThan(1e-4);
  });

  test("layers of other input features are refused", () => {
    expect(() => prepareBasisSharing([product(5, 6), product(5, 7)], kernels)).toThrow(
      /equal input features/,
    );
  });
});

test("reduced moments are those of the first factor's outputs, to 1e-4", () => {
  const [blocks, columns, inner, rank, count] = [2, 3, 2, 2, 30];
  const n = blocks * columns * inner;
  const x = floats([count, n], 5);
  const s = floats([rank, columns], 6);
  const y = new Float32Array(count * blocks * rank * inner);
  for (let r = 0; r < count * blocks; r++) {
    for (let i = 0; i < rank; i++) {
      for (let q = 0; q < inner; q++) {
        let sum = 0;
        for (let j = 0; j < columns; j++) sum += s[i * columns + j]! * x[(r * columns + j) * inner + q]!;
        y[(r * rank + i) * inner + q] = sum;
      }
    }
  }
  const expected = momentsOf(y, count, blocks * rank * inner);
  const actual = reducedMoments(momentsOf(x, count, n), { blocks, columns, inner }, s, rank, kernels);
  expected.gram!.forEach((one, i) => {
    expect(Math.abs(one - actual.gram![i]!)).toBeLessThan(1e-4);
  });
  expected.mean.forEach((one, i) => {
    expect(Math.abs(one - actual.mean[i]!)).toBeLessThan(1e-4);
  });
});
