import type { Kernels } from "../kernels/kernels.ts";
import { DataType } from "../onnx/data-type.ts";
import { free } from "../onnx/free.ts";
import { elementCount } from "../onnx/tensor-value.ts";
import type { Energies } from "./blocks/join-results.ts";
import { correctedBias } from "./corrected-bias.ts";
import { chainOf } from "./forms/chain.ts";
import { FactoredLayer } from "./forms/factored-layer.ts";
import { type Form, type FormTarget, kernelElements } from "./forms/form.ts";
import { type FormLayer, formError, outputEnergy } from "./forms/solution.ts";
import { formWork, mayTakeLonger } from "./forms/work.ts";
import { centred, type InputMoments, shrunk } from "./input-moments.ts";
import type { RuntimeKind } from "./kernel-sharing/rates.ts";
import { costOf } from "./layer-cost.ts";
import type { LayerFacts } from "./layer-facts.ts";
import { inMatrixOrder } from "./layer-matrix.ts";
import type { ResultWeight } from "./layer-result.ts";
import { MatrixTreater } from "./matrix-treater.ts";
import { offerOf, type StageOffer } from "./stages/offer.ts";
import { storePlain } from "./storage/store.ts";
import { type Changed, changedLayer, type TreatedLayer, untouchedLayer } from "./treated-layer.ts";
import { type BasisForm, type Candidate, type ChainForm, isUntouched, type Treatment } from "./treatment.ts";
import { countNonzero, type LayerWeight, measured, relativeError } from "./weight.ts";

export interface LayerInput {
  readonly facts: LayerFacts;
  /** Its own, as it is freed with it; null where the layer is fixed or of a type that is not compressed. */
  readonly weight: LayerWeight | null;
  /** Stored numbers other than zero; null where they are not counted yet, or for as many as there are. */
  readonly nonzero: number | null;
  /** The layer's own bias, where it has one that may be corrected. */
  readonly bias: Float32Array | null;
  /** One a matrix; null where nothing was seen of the layer's inputs. */
  readonly moments: readonly (InputMoments | null)[] | null;
  readonly kernels: Kernels;
  /** Of the standard domain. */
  readonly opset: number;
  /** This layer's share of zeros under a ratio that holds over the whole model; null where the recipe has none. */
  readonly globalRatio: number | null;
  /** Forms whose first factor the layer shares with others of its stage; none where it is in no stage. */
  readonly offers?: readonly StageOffer[];
}

/** Moments, and the energy tr(W·G·Wᵀ) of the layer's weight under them, once it is known. */
interface Weighed {
  readonly moments: readonly (InputMoments | null)[];
  energy: number | null;
}

/**
 * Arrays as large as the weight that live at once while it is quantised: as it came, in matrices, pruned, as its columns are walked,
 * what comes of it, and its codes; with moments also what is on its way.
 */
const COPIES = { unseen: 6, seen: 9 };

/**
 * Carries out treatments of one layer. What several treatments have in common (factors of its Gram matrices,
 * decompositions) is computed when it is first needed. The same layer and treatment give the same bytes.
 */
export class LayerTreater {
  readonly facts: LayerFacts;
  /** What a chain of nodes has to know of the layer; null where none may take its place. */
  readonly target: FormTarget | null;
  /** Why nothing can be done to it; null where something can. */
  readonly untreatable: string | null;
  readonly #input: LayerInput;
  /** Where the weight stores its matrices row by row in single precision, its own numbers. */
  readonly #matrices: Float32Array;
  /** ‖W‖²; infinite or NaN where the weight has such numbers. */
  readonly #weightEnergy: number;
  /** Stored numbers other than zero. */
  readonly #nonzero: number;
  /** Of x − E[x] where the bias takes up the mean of a change. */
  readonly #seen: Weighed;
  /** As the methods see them, which are to serve other samples. */
  readonly #expected: Weighed;
  readonly #corrects: boolean;
  #dense: MatrixTreater | null = null;
  #factored: FactoredLayer | null = null;

  constructor(input: LayerInput) {
    const { facts, weight, nonzero, bias, moments } = input;
    this.#input = input;
    this.facts = facts;
    const known = weight ? measured(weight.values) : { energy: 0, nonzero: elementCount(facts.dims) };
    this.#weightEnergy = known.energy;
    this.#nonzero = nonzero ?? known.nonzero;
    this.untreatable = untreatable(input, this.#weightEnergy);
    const { layout } = facts;
    this.target = facts.rigid === null && layout !== null ? facts.target : null;
    this.#matrices = weight && layout ? inMatrixOrder(layout, weight.values) : new Float32Array(0);
    const count = layout?.count ?? 0;
    const seen = moments ?? Array.from({ length: count }, () => null);
    this.#corrects = bias !== null && moments !== null && count * (layout?.rows ?? 0) === bias.length;
    const varying = this.#corrects ? seen.map((one) => one && centred(one)) : seen;
    const expected = varying.map((one) => one && shrunk(one));
    this.#seen = { moments: varying, energy: null };
    this.#expected = expected.every((one, i) => one === varying[i])
      ? this.#seen
      : { moments: expected, energy: null };
  }

  get elements(): number {
    return this.#matrices.length;
  }

  /** Bytes that treating it holds at the most: copies of the weight, and its moments as they came and as they are used. */
  get workingBytes(): number {
    const moments = [...new Set([...this.#seen.moments, ...this.#expected.moments])];
    const grams = moments.reduce((sum, one) => sum + (one?.gram?.byteLength ?? 0), 0);
    const copies = moments.every((one) => one === null) ? COPIES.unseen : COPIES.seen;
    return copies * this.#matrices.byteLength + grams;
  }

  /** Multiplications that a treatment takes, about. */
  get work(): number {
    const { count = 0, rows = 0, columns = 0 } = this.facts.layout ?? {};
    return count * rows * columns * columns;
  }

  /** Predicted time of the layer in that form, ms. */
  timeOf(form: Form): number | null {
    return costOf(this.facts, form).time;
  }

  /** Whether the form may be slower than the layer as it is, in any of these runtimes. */
  slows(form: Form, runtimes: readonly RuntimeKind[] = ["web", "native"]): boolean {
    const { target } = this.facts;
    if (target === null || form.kind === "dense") return false;
    return mayTakeLonger(formWork(form, target), formWork({ kind: "dense" }, target), runtimes);
  }

  /** Layer error of the form before its factors are stored. */
  errorOf(form: ChainForm): number {
    return this.#factors.solve(form).error;
  }

  /** This layer's share of zeros under a ratio that holds over the whole model. */
  get globalRatio(): number | null {
    return this.#input.globalRatio;
  }

  /** Forms whose first factor the layer shares with others. */
  get sharedForms(): readonly BasisForm[] {
    return (this.#input.offers ?? []).map(({ form }) => form);
  }

  /** The layer as the solvers see it, where `target` is not null. */
  get formLayer(): FormLayer {
    const layout = this.facts.layout!;
    return { target: this.target!, layout, matrices: this.#matrices, moments: this.#expected.moments };
  }

  get #factors(): FactoredLayer {
    const { kernels, offers } = this.#input;
    this.#factored ??= new FactoredLayer(this.formLayer, kernels, offers);
    return this.#factored;
  }

  /** @throws FormError where the layer has no such form */
  treat(treatment: Treatment): TreatedLayer {
    const { facts, weight } = this.#input;
    if (isUntouched(treatment)) return untouchedLayer(facts, weight, this.#nonzero, treatment);
    return treatment.form === null ? this.#treatDense(treatment) : this.#treatForm(treatment, treatment.form);
  }

  #treatDense(treatment: Treatment): TreatedLayer {
    const { facts, kernels, opset } = this.#input;
    const layout = facts.layout!;
    this.#dense ??= new MatrixTreater(
      {
        dims: facts.dims,
        dataType: facts.dataType,
        layout,
        matrices: this.#matrices,
        moments: this.#expected.moments,
        positions: kernelPositions(facts),
      },
      kernels,
      opset,
    );
    const { stored, matrices, remarks } = this.#dense.treat(treatment.sparsity, treatment.storage);
    return this.#changed({
      made: { treatment, weights: [{ role: "weight", stored }], chain: null, remarks },
      matrices,
      parameters: this.elements,
      nonzero: countNonzero(matrices),
      cost: { ...costOf(facts, { kind: "dense" }), macs: facts.macs },
    });
  }

  #treatForm(treatment: Treatment, form: ChainForm): TreatedLayer {
    const { facts, opset } = this.#input;
    const solution = this.#factors.solve(form, treatment.sparsity);
    const { weights, remarks, ...figures } = this.#factors.store(solution, treatment, facts.dataType, opset);
    const chain = chainOf(solution.form, this.target!);
    return this.#changed({
      made: { treatment: { ...treatment, form: solution.form as ChainForm }, weights, chain, remarks },
      ...figures,
      cost: costOf(facts, solution.form),
    });
  }

  /** Frees the weight and the large arrays that were made of it, which results hold copies of. It can be asked for nothing any more. */
  close(): void {
    this.#dense?.close();
    free(this.#matrices);
    if (this.#input.weight) free(this.#input.weight.values);
  }

  /** What errors of the layer are relative to. */
  get energies(): Energies {
    return {
      seen: this.#energy(this.#seen),
      expected: this.#energy(this.#expected),
      weight: this.#weightEnergy,
    };
  }

  #energy(weighed: Weighed): number {
    weighed.energy ??= isUnseen(weighed)
      ? this.#weightEnergy
      : outputEnergy(this.#weighedLayer(weighed), this.#matrices, this.#input.kernels);
    return weighed.energy;
  }

  #error(weighed: Weighed, matrices: Float32Array): number {
    if (isUnseen(weighed)) return relativeError(this.#matrices, matrices, this.#weightEnergy);
    return formError(this.#weighedLayer(weighed), matrices, this.#input.kernels, this.#energy(weighed));
  }

  #weighedLayer({ moments }: Weighed) {
    return { layout: this.facts.layout!, matrices: this.#matrices, moments };
  }

  #sharedBy(weights: readonly ResultWeight[], { form }: Treatment): Candidate["shared"] {
    const weight = weights.find(({ shared }) => shared);
    if (!weight?.shared || form === null) return undefined;
    const sharers = offerOf(this.#input.offers ?? [], form).layers.length;
    return { key: weight.shared.key, bytes: weight.stored.bytes, sharers };
  }

  #changed({
    made,
    matrices,
    parameters,
    nonzero,
    cost,
  }: Pick<Changed, "made" | "matrices" | "cost"> & {
    readonly parameters: number;
    readonly nonzero: number;
  }): TreatedLayer {
    const { facts, bias: own, moments, opset } = this.#input;
    const layout = facts.layout!;
    const layerError = this.#error(this.#seen, matrices);
    const bias = this.#corrects ? correctedBias(own!, this.#matrices, matrices, layout, moments!) : null;
    return changedLayer(facts, {
      made: { ...made, weights: bias ? [...made.weights, biasWeight(bias, opset)] : made.weights },
      matrices,
      parameters: { original: this.elements, compressed: parameters },
      nonzero: { original: this.#nonzero, compressed: nonzero },
      cost,
      shared: this.#sharedBy(made.weights, made.treatment),
      layerError,
      expectedError: this.#seen === this.#expected ? layerError : this.#error(this.#expected, matrices),
      weightError: isUnseen(this.#seen)
        ? layerError
        : relativeError(this.#matrices, matrices, this.#weightEnergy),
      bias,
    });
  }
}

function biasWeight(values: Float32Array, opset: number): ResultWeight {
  const stored = storePlain(
    { dims: [values.length], dataType: DataType.FLOAT, values },
    opset,
    ({ placement }) => placement.kind === "dense",
  );
  return { role: "bias", stored };
}

function isUnseen({ moments }: Weighed): boolean {
  return moments.every((one) => one === null);
}

/** @param power ‖W‖² */
function untreatable({ facts, weight }: LayerInput, power: number): string | null {
  if (facts.fixed !== null) return facts.fixed;
  if (weight === null) return "weights of its type are not compressed";
  if (facts.layout === null) return "its table is looked up along an inner axis";
  if (weight.values.length === 0) return "its weight is empty";
  if (!Number.isFinite(power)) return "its weight has infinities or NaN";
  return null;
}

/** Kernel positions among the columns: those of a transposed convolution are among its rows. */
function kernelPositions({ target }: LayerFacts): number {
  const transposed = target?.geometry.kind === "convolution" && target.geometry.transposed;
  return target === null || transposed ? 1 : kernelElements(target);
}
