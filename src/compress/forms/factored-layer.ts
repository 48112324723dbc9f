import type { Kernels } from "../../kernels/kernels.ts";
import type { InputMoments } from "../input-moments.ts";
import { prepareKernelSharing } from "../kernel-sharing/calibrated.ts";
import { type MatrixLayout, toMatrices } from "../layer-matrix.ts";
import type { ResultWeight } from "../layer-result.ts";
import { expanded, type Kronecker } from "../low-rank/kronecker.ts";
import { prepareLowRank } from "../low-rank/low-rank.ts";
import { reducedMoments } from "../low-rank/reduced-moments.ts";
import { axisFirst, columnsBack, momentsIn, prepareSpatial } from "../low-rank/spatial.ts";
import { prepareTucker } from "../low-rank/tucker.ts";
import { MatrixTreater } from "../matrix-treater.ts";
import type { ChainForm, StorageTreatment, Treatment } from "../treatment.ts";
import { countNonzero } from "../weight.ts";
import { chainOf, storedDims, type WeightRole } from "./chain.ts";
import { type Form, kernelElements } from "./form.ts";
import { type FormLayer, type FormSolution, joined, matrixAt } from "./solution.ts";

/** The factors of a layer as they are stored, and what they multiply to. */
export interface StoredFactors {
  readonly weights: readonly ResultWeight[];
  /** Ŵ, in the layout of the layer's matrices. */
  readonly matrices: Float32Array;
  /** Numbers stored, and those of them that are not zero. */
  readonly parameters: number;
  readonly nonzero: number;
}

/** Levels of the factors that come first: what they lose, everything after them loses. */
const LEAST_FIRST_LEVELS = 63;

/** Factorisations of one layer; what several ranks share is computed once. */
export class FactoredLayer {
  readonly #layer: FormLayer;
  readonly #kernels: Kernels;
  readonly #solutions = new Map<string, FormSolution>();
  #lowRank: ReturnType<typeof prepareLowRank> | null = null;
  #sharing: ReturnType<typeof prepareKernelSharing> | null = null;
  #tucker: ReturnType<typeof prepareTucker> | null = null;
  readonly #spatial = new Map<number, ReturnType<typeof prepareSpatial>>();

  constructor(layer: FormLayer, kernels: Kernels) {
    this.#layer = layer;
    this.#kernels = kernels;
  }

  /** @throws FormError where the layer has no such form */
  solve(form: ChainForm): FormSolution {
    const key = JSON.stringify(form);
    let solution = this.#solutions.get(key);
    if (!solution) {
      solution = this.#solve(form);
      this.#solutions.set(key, solution);
    }
    return solution;
  }

  #solve(form: ChainForm): FormSolution {
    const kernels = this.#kernels;
    switch (form.kind) {
      case "low_rank":
        this.#lowRank ??= prepareLowRank(this.#layer, kernels);
        return this.#lowRank.at(form.rank);
      case "kernel_sharing":
        this.#sharing ??= prepareKernelSharing([this.#layer], kernels);
        return this.#sharing.at(form.bases, form.order)[0]!;
      case "tucker":
        this.#tucker ??= prepareTucker(this.#layer, kernels);
        return this.#tucker.at(form.inputRank, form.outputRank);
      case "spatial": {
        const found = this.#spatial.get(form.axis) ?? prepareSpatial(this.#layer, form.axis, kernels);
        this.#spatial.set(form.axis, found);
        return found.at(form.rank);
      }
    }
  }

  /** Zeros (in the last factor) and storage of the factors, each with the moments of what it will really multiply. */
  store(solution: FormSolution, treatment: Treatment, dataType: number, opset: number): StoredFactors {
    const stages = stagesOf(solution.form, this.#layer);
    const values = new Map(solution.weights.map((weight) => [weight.role, weight.values]));
    let seen = this.#seenBy(solution.form);
    const weights: ResultWeight[] = [];
    const factors: Float32Array[] = [];
    for (const [at, stage] of stages.entries()) {
      const { role, dims, layout } = stage;
      const last = at === stages.length - 1;
      const size = layout.count * layout.rows * layout.columns;
      const made = new MatrixTreater(
        {
          dims,
          dataType,
          layout,
          matrices: toMatrices(layout, values.get(role)!.subarray(0, size)),
          moments: stage.sees ? seen : seen.map(() => null),
          positions: 1,
        },
        this.#kernels,
        opset,
      ).treat(last ? treatment.sparsity : null, last ? treatment.storage : finer(treatment.storage));
      weights.push({ role, stored: made.stored });
      factors.push(made.matrices);
      if (!last) seen = this.#reduced(seen, stage, made.matrices);
    }
    return {
      weights,
      matrices: this.#product(solution.form, stages, factors),
      parameters: factors.reduce((sum, factor) => sum + factor.length, 0),
      nonzero: factors.reduce((sum, factor) => sum + countNonzero(factor), 0),
    };
  }

  /** The layer's moments in the order of features that the form's factors have. */
  #seenBy(form: Form): readonly (InputMoments | null)[] {
    const { moments, target, layout } = this.#layer;
    if (form.kind !== "spatial") return moments;
    const order = axisFirst(layout.columns, target.dims.slice(2), form.axis);
    return moments.map((one) => one && momentsIn(order, one));
  }

  #reduced(
    seen: readonly (InputMoments | null)[],
    { kronecker, layout }: Stage,
    factor: Float32Array,
  ): (InputMoments | null)[] {
    return seen.map((one, index) => {
      if (one === null || kronecker === null) return null;
      const each = layout.count === 1 ? factor : matrixAt(layout, factor, index);
      return reducedMoments(one, kronecker, each, layout.rows, this.#kernels);
    });
  }

  /** What the stored factors multiply to. */
  #product(form: Form, stages: readonly Stage[], factors: readonly Float32Array[]): Float32Array {
    const { layout, target } = this.#layer;
    const { count, rows } = layout;
    const products = Array.from({ length: count }, (_, index) => {
      const last = factors.at(-1)!;
      const own = last.subarray((index * last.length) / count, ((index + 1) * last.length) / count);
      let product = form.kind === "kernel_sharing" ? coefficientRows(form, own, rows) : own;
      for (let at = stages.length - 2; at >= 0; at--) {
        const { kronecker, layout: stacked } = stages[at]!;
        const factor = stacked.count === 1 ? factors[at]! : matrixAt(stacked, factors[at]!, index);
        product = expanded(kronecker!, factor, stacked.rows, product, rows, this.#kernels);
      }
      if (form.kind !== "spatial") return product;
      return columnsBack(axisFirst(layout.columns, target.dims.slice(2), form.axis), product, rows);
    });
    return joined(products);
  }
}

/** One factor, from the input on. */
interface Stage {
  readonly role: WeightRole;
  /** As it is stored. */
  readonly dims: readonly number[];
  readonly layout: MatrixLayout;
  /** Its columns are what the moments at hand are of. */
  readonly sees: boolean;
  /** How it acts on the layer's features (see Kronecker); null for the last. */
  readonly kronecker: Kronecker | null;
}

function stagesOf(form: Form, { target, layout }: FormLayer): Stage[] {
  const { count, rows, columns } = layout;
  const { geometry } = target;
  const dimsOf = new Map(
    chainOf(form, target).flatMap(({ weight }) =>
      weight ? [[weight.role, storedDims(weight)] as const] : [],
    ),
  );
  const stage = (
    role: WeightRole,
    matrices: Omit<MatrixLayout, "transposed">,
    kronecker: Kronecker | null,
    sees: boolean,
    transposed = false,
  ): Stage => ({
    role,
    dims: dimsOf.get(role)!,
    layout: { ...matrices, transposed },
    sees,
    kronecker,
  });
  switch (form.kind) {
    case "dense":
      return [];
    case "low_rank": {
      const { rank } = form;
      const product = geometry.kind === "matrix" && !geometry.left;
      const shared = geometry.kind === "recurrent";
      const all = { blocks: 1, columns, inner: 1 };
      const flipped = product || (geometry.kind === "convolution" && geometry.transposed);
      return [
        stage("right", { count: shared ? 1 : count, rows: rank, columns }, all, true, product || shared),
        stage("left", { count, rows, columns: rank }, null, true, flipped),
      ];
    }
    case "kernel_sharing": {
      const { bases, order } = form;
      const size = kernelElements(target);
      const inputs = columns / size;
      const within = { blocks: inputs, columns: size, inner: 1 };
      return [
        stage("basis", { count: 1, rows: bases, columns: size }, within, false),
        order === "basis_first"
          ? stage("coefficients", { count, rows, columns: inputs * bases }, null, true)
          : stage("coefficients", { count, rows: rows * bases, columns: inputs }, null, false),
      ];
    }
    case "spatial": {
      const along = target.dims[2 + form.axis]!;
      const across = kernelElements(target) / along;
      const first = columns / across;
      return [
        stage(
          "right",
          { count, rows: form.rank, columns: first },
          { blocks: 1, columns: first, inner: across },
          false,
        ),
        stage("left", { count, rows, columns: form.rank * across }, null, true),
      ];
    }
    case "tucker": {
      const size = kernelElements(target);
      const { inputRank, outputRank } = form;
      const inputs = columns / size;
      const right = stage(
        "right",
        { count, rows: inputRank, columns: inputs },
        { blocks: 1, columns: inputs, inner: size },
        false,
      );
      const within = inputRank * size;
      if (outputRank === null) return [right, stage("core", { count, rows, columns: within }, null, true)];
      return [
        right,
        stage(
          "core",
          { count, rows: outputRank, columns: within },
          { blocks: 1, columns: within, inner: 1 },
          true,
        ),
        stage("left", { count, rows, columns: outputRank }, null, true),
      ];
    }
  }
}

/** Coefficients as outputs × inputs·bases, from the order in which they are stored. */
function coefficientRows(
  { order, bases }: Extract<Form, { kind: "kernel_sharing" }>,
  stored: Float32Array,
  rows: number,
): Float32Array {
  if (order === "basis_first") return stored;
  const inputs = stored.length / rows / bases;
  const to = new Float32Array(stored.length);
  for (let o = 0; o < rows; o++) {
    for (let b = 0; b < bases; b++) {
      for (let i = 0; i < inputs; i++)
        to[(o * inputs + i) * bases + b] = stored[(o * bases + b) * inputs + i]!;
    }
  }
  return to;
}

function finer(storage: StorageTreatment | null): StorageTreatment | null {
  if (storage?.kind !== "integers" || storage.levels >= LEAST_FIRST_LEVELS) return storage;
  return { ...storage, levels: LEAST_FIRST_LEVELS };
}
