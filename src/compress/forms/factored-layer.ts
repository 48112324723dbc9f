import type { Kernels } from "../../kernels/kernels.ts";
import { columnsBack } from "../column-order.ts";
import type { InputMoments } from "../input-moments.ts";
import { prepareKernelSharing, withSharedKernels } from "../kernel-sharing/calibrated.ts";
import type { CoefficientSparsity } from "../kernel-sharing/sparse-coefficients.ts";
import { toMatrices } from "../layer-matrix.ts";
import type { ResultWeight } from "../layer-result.ts";
import { withSharedBasis } from "../low-rank/basis-sharing.ts";
import { expanded } from "../low-rank/kronecker.ts";
import { prepareLowRank } from "../low-rank/low-rank.ts";
import { axisFirst, prepareSpatial } from "../low-rank/spatial.ts";
import { prepareTucker } from "../low-rank/tucker.ts";
import { MatrixTreater } from "../matrix-treater.ts";
import { offerOf, type StageOffer } from "../stages/offer.ts";
import type { ChainForm, SparsityTreatment, StorageTreatment, Treatment } from "../treatment.ts";
import { countNonzero } from "../weight.ts";
import type { Form } from "./form.ts";
import { type FormLayer, type FormSolution, joined } from "./solution.ts";
import { factorAt, type Stage, stagesOf } from "./stages.ts";
import { madeInTurn } from "./step-moments.ts";

/** The factors of a layer as they are stored, and what they multiply to. */
export interface StoredFactors {
  readonly weights: readonly ResultWeight[];
  /** Ŵ, in the layout of the layer's matrices. */
  readonly matrices: Float32Array;
  /** Numbers stored, and those of them that are not zero; without what is shared with other layers. */
  readonly parameters: number;
  readonly nonzero: number;
  /** What was done otherwise than the treatment says, and why. */
  readonly remarks: readonly string[];
}

/** Levels of the factors that come first: what they lose, everything after them loses. */
const LEAST_FIRST_LEVELS = 63;

/** Factorisations of one layer; what several ranks share is computed once. */
export class FactoredLayer {
  readonly #layer: FormLayer;
  readonly #kernels: Kernels;
  readonly #offers: readonly StageOffer[];
  readonly #solutions = new Map<string, FormSolution>();
  #lowRank: ReturnType<typeof prepareLowRank> | null = null;
  #sharing: ReturnType<typeof prepareKernelSharing> | null = null;
  #tucker: ReturnType<typeof prepareTucker> | null = null;
  readonly #spatial = new Map<number, ReturnType<typeof prepareSpatial>>();

  /** @param offers forms of the layer's stage, with the first factors that they share */
  constructor(layer: FormLayer, kernels: Kernels, offers: readonly StageOffer[] = []) {
    this.#layer = layer;
    this.#kernels = kernels;
    this.#offers = offers;
  }

  /**
   * @param sparsity zeros that the last factor is to have; only coefficients of shared kernels are solved with them
   * @throws FormError where the layer has no such form
   */
  solve(form: ChainForm, sparsity: SparsityTreatment | null = null): FormSolution {
    const sparse = sparseCoefficients(form, sparsity);
    const key = JSON.stringify([form, sparse]);
    let solution = this.#solutions.get(key);
    if (!solution) {
      solution = this.#solve(form, sparse);
      this.#solutions.set(key, solution);
    }
    return solution;
  }

  #solve(form: ChainForm, sparsity: CoefficientSparsity | null): FormSolution {
    const kernels = this.#kernels;
    switch (form.kind) {
      case "low_rank":
        if (form.stage !== undefined) {
          const { basis } = offerOf(this.#offers, form);
          return { ...withSharedBasis(this.#layer, basis, kernels), form };
        }
        this.#lowRank ??= prepareLowRank(this.#layer, kernels);
        return this.#lowRank.at(form.rank);
      case "kernel_sharing":
        if (form.stage !== undefined) {
          const { basis } = offerOf(this.#offers, form);
          return { ...withSharedKernels(this.#layer, basis, form.order, kernels), form };
        }
        this.#sharing ??= prepareKernelSharing([this.#layer], kernels);
        return this.#sharing.at(form.bases, form.order, { sparsity })[0]!;
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

  /**
   * Zeros (in the last factor) and storage of the factors, each with the moments of what it will really multiply. A factor
   * that layers share is stored without: it has to come out the same in each of them.
   */
  store(solution: FormSolution, treatment: Treatment, dataType: number, opset: number): StoredFactors {
    const stages = stagesOf(solution.form, this.#layer);
    const values = new Map(solution.weights.map((weight) => [weight.role, weight.values]));
    const sharing = "stage" in solution.form && solution.form.stage !== undefined;
    const solved = sparseCoefficients(solution.form, treatment.sparsity) !== null;
    const sparsity = solved ? "as it is" : treatment.sparsity;
    const weights: ResultWeight[] = [];
    const remarks: string[] = [];
    let [parameters, nonzero] = [0, 0];
    const store = ({ role, dims, layout }: Stage, seen: readonly (InputMoments | null)[]) => {
      const last = role === stages.at(-1)!.role;
      const shared = sharing && !last;
      const moments = shared ? seen.map(() => null) : seen;
      const storage = last ? treatment.storage : finer(treatment.storage);
      const size = layout.count * layout.rows * layout.columns;
      const matrices = toMatrices(layout, values.get(role)!.subarray(0, size));
      const made = new MatrixTreater(
        { dims, dataType, layout, matrices, moments, positions: 1 },
        this.#kernels,
        opset,
      ).treat(last ? sparsity : null, storage);
      const counts = { parameters: made.matrices.length, nonzero: countNonzero(made.matrices) };
      if (shared) {
        const key = JSON.stringify([solution.form, storage]);
        weights.push({ role, stored: made.stored, shared: { key, ...counts } });
      } else {
        weights.push({ role, stored: made.stored });
        parameters += counts.parameters;
        nonzero += counts.nonzero;
      }
      const wider = storage === treatment.storage ? [] : [`it has ${LEAST_FIRST_LEVELS} levels`];
      for (const remark of [...wider, ...made.remarks]) remarks.push(`factor "${role}": ${remark}`);
      return made.matrices;
    };
    const factors = madeInTurn(solution.form, this.#layer, store, this.#kernels);
    return {
      weights,
      matrices: this.#product(solution.form, stages, factors),
      parameters,
      nonzero,
      remarks,
    };
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
        const factor = factorAt(stacked, factors[at]!, index);
        product = expanded(kronecker!, factor, stacked.rows, product, rows, this.#kernels);
      }
      if (form.kind !== "spatial") return product;
      return columnsBack(axisFirst(layout.columns, target.dims.slice(2), form.axis), product, rows);
    });
    return joined(products);
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

/** Zeros that are chosen while basis and coefficients are solved for; null where the finished factor is pruned. */
function sparseCoefficients(form: Form, sparsity: SparsityTreatment | null): CoefficientSparsity | null {
  if (form.kind !== "kernel_sharing" || form.stage !== undefined || sparsity === null) return null;
  const { pattern, ratio, solver } = sparsity;
  if (pattern !== "unstructured" || ratio === null || solver === "proximal") return null;
  return { ratio, solver };
}

function finer(storage: StorageTreatment | null): StorageTreatment | null {
  if (storage?.kind !== "integers" || storage.levels >= LEAST_FIRST_LEVELS) return storage;
  return { ...storage, levels: LEAST_FIRST_LEVELS };
}
