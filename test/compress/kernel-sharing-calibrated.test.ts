import { beforeAll, describe, expect, test } from "vitest";
import { FactoredLayer } from "../../src/compress/forms/factored-layer.ts";
import {
  type FormLayer,
  type FormSolution,
  formError,
  type SharedSolution,
} from "../../src/compress/forms/solution.ts";
import { madeInTurn } from "../../src/compress/forms/step-moments.ts";
import { prepareKernelSharing } from "../../src/compress/kernel-sharing/calibrated.ts";
import { withoutDeadBases } from "../../src/compress/kernel-sharing/sparse-coefficients.ts";
import { prepareSpatial } from "../../src/compress/low-rank/spatial.ts";
import { pruneMatrix } from "../../src/compress/sparsity/prune-matrix.ts";
import { collectMoments } from "../../src/evaluate/moments/collect.ts";
import { whole } from "../../src/evaluate/segments/execution.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { nodeKernels } from "../../src/kernels/wasm/node.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { realModels } from "../models/registry.ts";
import { layerNamed } from "./forms-layer.ts";
import { penni, reconstructed } from "./penni.ts";
import { floats, floatTensor, graphOf, int, ints, modelOf, node, value } from "./tiny.ts";

async function convolution(weight: readonly number[], groups = 1): Promise<FormLayer> {
  const model = modelOf(
    graphOf({
      nodes: [node("Conv", ["x", "w"], ["y"], { group: int(groups), pads: ints(1, 1, 1, 1) })],
      initializers: [floatTensor("w", weight, floats(weight, weight[0]))],
      inputs: [value("x", [1, weight[1]! * groups, 8, 8])],
      outputs: [{ name: "y" }],
    }),
  );
  return layerNamed(model, "y");
}

const zeros = (values: Float32Array) => values.reduce((count, one) => count + (one === 0 ? 1 : 0), 0);
const roleOf = ({ weights }: SharedSolution, role: string) =>
  weights.find((one) => one.role === role)!.values;
/** Without its moments, as PENNI sees it. */
const unseen = (layer: FormLayer): FormLayer => ({ ...layer, moments: layer.moments.map(() => null) });

test("without moments it is PENNI: the truncated SVD of the kernels, to 1e-5", async () => {
  const layer = unseen(await convolution([8, 6, 3, 3]));
  for (const bases of [1, 3, 5]) {
    const [solution] = prepareKernelSharing([layer], kernels).at(bases, "basis_first");
    expect(Math.abs(solution!.error - penni(layer.matrices, 9, bases).lost)).toBeLessThan(1e-5);
  }
});

test("both orders hold the same numbers, in the layout of their chains", async () => {
  const layer = await convolution([8, 6, 3, 3]);
  const solver = prepareKernelSharing([layer], kernels);
  const sizes = { inputs: 6, outputs: 8, kernel: 9, bases: 3 };
  for (const order of ["basis_first", "coefficients_first"] as const) {
    const [solution] = solver.at(3, order);
    const [b, c] = [roleOf(solution!, "basis"), roleOf(solution!, "coefficients")];
    const dense = reconstructed(b, c, sizes, order);
    dense.forEach((one, i) => {
      expect(Math.abs(one - solution!.dense[i]!)).toBeLessThan(1e-5);
    });
  }
});

describe("one basis for several layers", () => {
  test("of other channels, and of groups; the basis is the same", async () => {
    const layers = await Promise.all([
      convolution([8, 6, 3, 3]),
      convolution([4, 8, 3, 3]),
      convolution([6, 4, 3, 3], 2),
    ]);
    const solutions = prepareKernelSharing(layers, kernels).at(4, "basis_first");
    for (const { basis } of solutions) expect(basis).toEqual(solutions[0]!.basis);
    expect(solutions.map((solution) => roleOf(solution, "coefficients").length)).toEqual([
      8 * 6 * 4,
      4 * 8 * 4,
      6 * 4 * 4,
    ]);
    const plain = prepareKernelSharing(layers.map(unseen), kernels).at(4, "basis_first");
    let [calibrated, free] = [0, 0];
    layers.forEach((layer, i) => {
      calibrated += solutions[i]!.error;
      free += formError(layer, plain[i]!.dense, kernels);
      const own = prepareKernelSharing([layer], kernels).at(4, "basis_first")[0]!;
      expect(own.error).toBeLessThan(solutions[i]!.error * 1.02);
    });
    expect(calibrated).toBeLessThan(free);
  });

  test("layers with other kernels are refused", async () => {
    const layers = await Promise.all([convolution([8, 6, 3, 3]), convolution([8, 6, 5, 5])]);
    expect(() => prepareKernelSharing(layers, kernels)).toThrow(/equal kernels/);
  });
});

describe("sparse coefficients", () => {
  test("exactly as many zeros as asked for, and less error than zeroing the same share by magnitude", async () => {
    const layer = await convolution([10, 8, 3, 3]);
    const solver = prepareKernelSharing([layer], kernels);
    const [full] = solver.at(4, "basis_first");
    const sizes = { inputs: 8, outputs: 10, kernel: 9, bases: 4 };
    for (const ratio of [0.3, 0.6]) {
      const [sparse] = solver.at(4, "basis_first", { sparsity: { ratio, solver: "obs" } });
      const c = roleOf(sparse!, "coefficients");
      expect(zeros(c)).toBe(Math.round(ratio * c.length));
      const plain = roleOf(full!, "coefficients").slice();
      const order = [...plain.keys()].sort((a, b) => Math.abs(plain[a]!) - Math.abs(plain[b]!));
      for (const at of order.slice(0, zeros(c))) plain[at] = 0;
      const magnitude = reconstructed(roleOf(full!, "basis"), plain, sizes, "basis_first");
      const error = formError(layer, magnitude, kernels);
      expect(sparse!.error).toBeLessThan(0.7 * error);
      expect(sparse!.error).toBeGreaterThan(full!.error);
    }
  });

  test("unused basis kernels go", () => {
    const last = [Float32Array.of(1, 0, 2, 3, 0, 4)];
    const shrunk = withoutDeadBases({ rank: 3, first: floats([3, 9]), last, history: [] });
    expect(shrunk.rank).toBe(2);
    expect(shrunk.last).toEqual([Float32Array.of(1, 2, 3, 4)]);
    expect(shrunk.first).toEqual(
      Float32Array.from([...floats([3, 9]).subarray(0, 9), ...floats([3, 9]).subarray(18)]),
    );
  });

  test("all coefficients zero: one basis kernel is left, and nothing is NaN", async () => {
    const layer = await convolution([4, 3, 3, 3]);
    const [gone] = prepareKernelSharing([layer], kernels).at(3, "coefficients_first", {
      sparsity: { ratio: 1, solver: "magnitude" },
    });
    expect(gone!.form).toEqual({ kind: "kernel_sharing", order: "coefficients_first", bases: 1 });
    expect(gone!.dense.every((one) => one === 0)).toBe(true);
    expect(gone!.error).toBeCloseTo(1, 5);
  });
});

const resnet = realModels.find(({ name }) => name === "resnet-mnist")!;

describe.skipIf(resnet.missing !== null)("a real layer with real activations: resnet-mnist", () => {
  let layer: FormLayer;
  let held: FormLayer;

  async function seenBy(model: Model, feeds: readonly Feeds[], name: string) {
    const execution = whole(await nodeRuntime());
    const limits = { fewestVectors: 1000, vectorsPerFeature: 4 };
    const options = { model, feeds, kernels: await nodeKernels(), execution, limits };
    for await (const { layer: one, matrices } of collectMoments(options)) {
      if (one === name) return matrices!;
    }
    throw new Error(`no moments of ${name}`);
  }

  beforeAll(async () => {
    const model = await readModel(bytesSource(await resnet.bytes()));
    const name = "/layer2/layer2.0/conv1/Conv";
    const samples = await resnet.samples(32);
    const found = await layerNamed(model, name, () => null);
    layer = { ...found, moments: await seenBy(model, samples.slice(0, 16), name) };
    held = { ...found, moments: await seenBy(model, samples.slice(16), name) };
  }, 30_000);

  test("calibrated loses less than three quarters of what PENNI loses at equal bases, on digits it never saw", () => {
    const solver = prepareKernelSharing([layer], kernels);
    for (const bases of [2, 3, 5]) {
      const { dense } = penni(layer.matrices, 9, bases);
      const [calibrated] = solver.at(bases, "basis_first");
      expect(formError(held, calibrated!.dense, kernels)).toBeLessThan(
        0.75 * formError(held, dense, kernels),
      );
    }
  });

  test.each(["obs", "admm"] as const)(
    "zeros chosen with the basis (%s) lose less than zeros in the finished coefficients, on digits it never saw",
    (solver) => {
      const form = { kind: "kernel_sharing", order: "basis_first", bases: 5 } as const;
      const sparsity = {
        pattern: "unstructured",
        ratio: 0.6,
        solver,
        regularizer: null,
        strength: null,
      } as const;
      const factored = new FactoredLayer(layer, kernels);
      const stored = (solution: FormSolution) =>
        factored.store(solution, { form, sparsity, storage: null }, DataType.FLOAT, 13);
      const sparse = stored(factored.solve(form, sparsity));
      const coefficients = layer.matrices.length / 9;
      expect(sparse.nonzero).toBe(5 * 9 + 5 * coefficients - Math.round(0.6 * 5 * coefficients));
      const [full] = prepareKernelSharing([layer], kernels).at(5, "basis_first");
      const finished = madeInTurn(
        form,
        layer,
        ({ role, layout: { rows, columns } }, moments) => {
          const values = roleOf(full!, role);
          if (role === "basis") return values;
          const zeroed = Math.round(0.6 * values.length);
          const request = { pattern: { kind: "unstructured", zeros: zeroed }, solver } as const;
          return pruneMatrix(values, rows, columns, moments[0]!, request, kernels);
        },
        kernels,
      );
      const sizes = {
        inputs: coefficients / layer.layout.rows,
        outputs: layer.layout.rows,
        kernel: 9,
        bases: 5,
      };
      const plain = reconstructed(finished[0]!, finished[1]!, sizes, "basis_first");
      expect(formError(held, sparse.matrices, kernels)).toBeLessThan(formError(held, plain, kernels));
    },
  );

  test("and so does k×1 then 1×k, less than half", () => {
    const calibrated = prepareSpatial(layer, 0, kernels).at(16);
    const free = prepareSpatial(unseen(layer), 0, kernels).at(16);
    expect(formError(held, calibrated.dense, kernels)).toBeLessThan(
      0.5 * formError(held, free.dense, kernels),
    );
  });
});
