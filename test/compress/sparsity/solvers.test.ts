import { beforeAll, describe, expect, test } from "vitest";
import { type InputMoments, layerError } from "../../../src/compress/input-moments.ts";
import { dampingOf, LayerHessian } from "../../../src/compress/sparsity/hessian.ts";
import { pruneMatrix, pruneWith } from "../../../src/compress/sparsity/prune-matrix.ts";
import { refitOnSupport } from "../../../src/compress/sparsity/refit.ts";
import type { PruneRequest } from "../../../src/compress/sparsity/request.ts";
import { referenceKernels } from "../../../src/kernels/reference/kernels.ts";
import { sharedMissing } from "../../models/shared.ts";
import { correlated, lenetLayers, normals, type Problem } from "./problems.ts";
import { gaussJordan, publishedObs } from "./published-obs.ts";

const SOLVERS = {
  magnitude: { solver: "magnitude" },
  wanda: { solver: "wanda" },
  obs: { solver: "obs" },
  refit: { solver: "obs", refit: true },
  admm: { solver: "admm" },
} as const satisfies Record<string, Omit<PruneRequest, "pattern">>;

type Errors = Record<keyof typeof SOLVERS, number>;

function hessianOf({ moments }: Problem): LayerHessian {
  return new LayerHessian(moments, moments.n, referenceKernels);
}

/** Layer errors of solvers that share the factors of one Hessian, by the moments of `judge`. */
function errorsOf(
  problem: Problem,
  pattern: PruneRequest["pattern"],
  names = Object.keys(SOLVERS) as (keyof Errors)[],
  judge = problem.moments,
): Errors {
  const hessian = hessianOf(problem);
  const { w, rows } = problem;
  const error = (name: keyof Errors) =>
    layerError(w, pruneWith(w, rows, hessian, { ...SOLVERS[name], pattern }), rows, judge.n, judge);
  return Object.fromEntries(names.map((name) => [name, error(name)])) as Errors;
}

/** H as the solvers have it, but for its scale. */
function dampedGram(moments: InputMoments): Float64Array {
  const { n, gram, diagonal } = moments;
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / n;
  return Float64Array.from(gram!, (g, i) => g + (i % (n + 1) === 0 ? dampingOf(moments) * mean : 0));
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

const unstructured = ({ w }: Problem, ratio: number) =>
  ({ kind: "unstructured", zeros: Math.round(ratio * w.length) }) as const;

describe("OBS", () => {
  test("equals a plain implementation of the published algorithm to 1e-4, over two blocks", () => {
    const problem = correlated(8, 160, 1);
    const { w, rows, moments } = problem;
    for (const ratio of [0.25, 0.5, 0.75]) {
      const pruned = pruneWith(w, rows, hessianOf(problem), {
        solver: "obs",
        pattern: unstructured(problem, ratio),
      });
      const expected = publishedObs(w, rows, dampedGram(moments), { blockSize: 128, ratio });
      expect(largestDifference(pruned, expected)).toBeLessThan(1e-4);
    }
  });

  test.each([
    [2, 4],
    [4, 8],
    [1, 4],
  ])("%i:%i equals the published algorithm to 1e-4", (keep, of) => {
    const problem = correlated(6, 144, 2);
    const { w, rows, moments } = problem;
    const pattern = { kind: "n:m", keep, of } as const;
    const pruned = pruneWith(w, rows, hessianOf(problem), { solver: "obs", pattern });
    const expected = publishedObs(w, rows, dampedGram(moments), { keep, of });
    expect(largestDifference(pruned, expected)).toBeLessThan(1e-4);
  });
});

describe("Wanda", () => {
  test("zeroes in every row the entries of smallest |w|·‖x‖", () => {
    const problem = correlated(5, 40, 3);
    const { w, rows, moments } = problem;
    const pruned = pruneWith(w, rows, hessianOf(problem), {
      solver: "wanda",
      pattern: unstructured(problem, 0.5),
    });
    for (let r = 0; r < rows; r++) {
      const score = (c: number) => Math.abs(w[r * 40 + c]!) * Math.sqrt(moments.diagonal[c]!);
      const order = Array.from({ length: 40 }, (_, c) => c).sort((a, b) => score(a) - score(b));
      const zeros = order.filter((c) => pruned[r * 40 + c] === 0);
      expect(zeros).toEqual(order.slice(0, 20));
    }
  });
});

describe("least squares on a support", () => {
  test.each([
    ["Cholesky", 60, 1e-5],
    ["conjugate gradients", 300, 1e-3],
  ])("by %s has no gradient left on the support (%i columns, relative to before: %f)", (_, n, bound) => {
    const problem = correlated(4, n, 4);
    const { w, rows } = problem;
    const hessian = hessianOf(problem);
    const pruned = Uint8Array.from(normals(w.length, 9), (value) => (value < -0.3 ? 1 : 0));
    const refitted = refitOnSupport(w, pruned, rows, hessian);
    const gradient = (x: Float32Array) =>
      Math.sqrt(
        hessian
          .times(
            x.map((value, i) => value - w[i]!),
            rows,
          )
          .reduce((sum, value, i) => sum + (pruned[i] === 1 ? 0 : value ** 2), 0),
      );
    const masked = w.map((value, i) => (pruned[i] === 1 ? 0 : value));
    expect(gradient(refitted)).toBeLessThan(bound * gradient(masked));
    expect(refitted.every((value, i) => pruned[i] === 0 || value === 0)).toBe(true);
  });

  test("is the closed form −H_SS⁻¹·H_SZ·w_Z away from W, to 1e-5", () => {
    const problem = correlated(1, 24, 5);
    const { w, moments } = problem;
    const h = dampedGram(moments);
    const zeros = [1, 4, 5, 9, 20];
    const support = Array.from({ length: 24 }, (_, c) => c).filter((c) => !zeros.includes(c));
    const s = support.length;
    const inverse = gaussJordan(
      Float64Array.from({ length: s * s }, (_, i) => h[support[Math.floor(i / s)]! * 24 + support[i % s]!]!),
      s,
    );
    const pull = support.map((c) => zeros.reduce((sum, z) => sum + h[c * 24 + z]! * w[z]!, 0));
    const expected = new Float64Array(24);
    support.forEach((c, i) => {
      expected[c] = w[c]! + pull.reduce((sum, value, j) => sum + inverse[i * s + j]! * value, 0);
    });
    const pruned = Uint8Array.from({ length: 24 }, (_, c) => (zeros.includes(c) ? 1 : 0));
    expect(largestDifference(refitOnSupport(w, pruned, 1, hessianOf(problem)), expected)).toBeLessThan(1e-5);
  });
});

describe("layer error on correlated inputs, mean over six matrices", () => {
  const problems = Array.from({ length: 6 }, (_, i) => correlated(24, 64, 10 + 5 * i));
  const mean = (pattern: (problem: Problem) => PruneRequest["pattern"]): Errors => {
    const all = problems.map((problem) => errorsOf(problem, pattern(problem)));
    const names = Object.keys(SOLVERS) as (keyof Errors)[];
    return Object.fromEntries(
      names.map((name) => [name, all.reduce((sum, errors) => sum + errors[name], 0) / all.length]),
    ) as Errors;
  };

  test.each([0.3, 0.5, 0.7, 0.8, 0.9])(
    "%f zeros: refit ≤ OBS ≤ Wanda ≤ magnitude, ADMM no more than 5% above refit",
    (ratio) => {
      const errors = mean((problem) => unstructured(problem, ratio));
      expect(errors.admm).toBeLessThan(1.05 * errors.refit);
      expect(errors.refit).toBeLessThan(errors.obs);
      expect(errors.obs).toBeLessThan(errors.wanda);
      expect(errors.wanda).toBeLessThan(errors.magnitude);
      if (ratio === 0.8) expect(errors.admm).toBeLessThan(0.6 * errors.obs);
    },
  );

  test.each([
    ["2:4", { kind: "n:m", keep: 2, of: 4 }],
    ["4:8", { kind: "n:m", keep: 4, of: 8 }],
    ["1 × 4 blocks, half of them", { kind: "block", width: 4, ratio: 0.5 }],
  ] as const)("%s: refit ≤ OBS ≤ Wanda ≤ magnitude, ADMM least", (_, pattern) => {
    const errors = mean(() => pattern);
    expect(errors.admm).toBeLessThan(errors.refit);
    expect(errors.refit).toBeLessThan(errors.obs);
    expect(errors.obs).toBeLessThan(errors.wanda);
    expect(errors.wanda).toBeLessThan(errors.magnitude);
  });

  test("the proximal solver with any regulariser of entries is below Wanda at 0.8 zeros", () => {
    const [problem] = problems as [Problem];
    const { wanda } = errorsOf(problem, unstructured(problem, 0.8));
    for (const regularizer of ["l1", "l0", "hoyer_square", "transformed_l1"] as const) {
      const pruned = pruneWith(problem.w, problem.rows, hessianOf(problem), {
        solver: "proximal",
        regularizer,
        pattern: unstructured(problem, 0.8),
      });
      expect(layerError(problem.w, pruned, problem.rows, 64, problem.moments)).toBeLessThan(wanda);
    }
  });
});

const missing = sharedMissing("lenet-300-100.onnx");

describe.skipIf(missing !== null)(
  `layers of lenet-300-100 on real digits${missing ? `: ${missing}` : ""}`,
  () => {
    let calibrated: Awaited<ReturnType<typeof lenetLayers>>;
    let judge: InputMoments;

    beforeAll(async () => {
      calibrated = await lenetLayers(400);
      judge = (await lenetLayers(800)).third.moments;
    });

    test.each([0.5, 0.8])("%f zeros: refit ≤ OBS ≤ Wanda ≤ magnitude in every layer", (ratio) => {
      const { second, third } = calibrated;
      const rows = 25;
      const part = { ...second, w: second.w.subarray(0, rows * second.moments.n), rows };
      for (const problem of [part, third]) {
        const pattern = unstructured(problem, ratio);
        const { magnitude, wanda, obs, refit } = errorsOf(problem, pattern, [
          "magnitude",
          "wanda",
          "obs",
          "refit",
        ]);
        expect(refit).toBeLessThan(obs);
        expect(obs).toBeLessThan(wanda);
        expect(wanda).toBeLessThan(magnitude);
      }
    });

    test("80% zeros: ADMM with refit has at most a quarter of the error of OBS, also on digits not seen", () => {
      const { third } = calibrated;
      for (const moments of [third.moments, judge]) {
        const { obs, admm } = errorsOf(third, unstructured(third, 0.8), ["obs", "admm"], moments);
        expect(admm).toBeLessThan(0.25 * obs);
      }
    });
  },
);

describe("data-free", () => {
  test("without moments OBS and ADMM are magnitude pruning: nothing is better when G = I", () => {
    const w = normals(6 * 20, 3);
    const pattern = { kind: "unstructured", zeros: 60 } as const;
    const magnitude = pruneMatrix(w, 6, 20, null, { solver: "magnitude", pattern }, referenceKernels);
    for (const solver of ["obs", "admm"] as const) {
      expect(pruneMatrix(w, 6, 20, null, { solver, pattern }, referenceKernels)).toEqual(magnitude);
    }
  });

  test("with a diagonal alone OBS takes the smallest w²·G_cc, which no other mask beats", () => {
    const { w, rows, moments } = correlated(6, 20, 8);
    const known: InputMoments = { ...moments, gram: null };
    const error = (solver: "magnitude" | "wanda" | "obs") =>
      layerError(
        w,
        pruneMatrix(
          w,
          rows,
          20,
          known,
          { solver, pattern: { kind: "unstructured", zeros: 60 } },
          referenceKernels,
        ),
        rows,
        20,
        known,
      );
    expect(error("obs")).toBeLessThanOrEqual(error("wanda"));
    expect(error("wanda")).toBeLessThan(error("magnitude"));
  });
});
