import type { Kernels } from "../kernels/kernels.ts";
import { DataType } from "../onnx/data-type.ts";
import { joined } from "./forms/solution.ts";
import type { InputMoments } from "./input-moments.ts";
import { fromMatrices, type MatrixLayout, toMatrices } from "./layer-matrix.ts";
import { type Objective, objectiveOf } from "./quantization/objective.ts";
import type { QuantizeRequest } from "./quantization/quantize-matrix.ts";
import { quantizeWeight } from "./quantization/quantize-weight.ts";
import { LayerHessian } from "./sparsity/hessian.ts";
import { pruneWith } from "./sparsity/prune-matrix.ts";
import type { PruneRequest } from "./sparsity/request.ts";
import { codedValues, halved } from "./storage/coded.ts";
import { storeCoded, storeDequantized, storeHalf, storePlain } from "./storage/store.ts";
import type { StoredWeight } from "./storage/stored-weight.ts";
import { N_OF_M, type SparsityTreatment, type StorageTreatment } from "./treatment.ts";

/** A weight as the matrices that it holds. */
export interface StackedMatrices {
  /** Of the weight as the file stores it. */
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly layout: MatrixLayout;
  /** count × rows × columns. */
  readonly matrices: Float32Array;
  /** One a matrix; null where nothing was seen. */
  readonly moments: readonly (InputMoments | null)[];
  /** Kernel positions of each input channel among the columns; 1 for what is no convolution. */
  readonly positions: number;
}

export interface TreatedMatrices {
  readonly stored: StoredWeight;
  /** What a runtime computes with, count × rows × columns. */
  readonly matrices: Float32Array;
}

/** Width of the blocks that become zero together. */
const BLOCK = 4;
/** More scales than this are stored as half floats. */
const FEW_SCALES = 16;
/** Levels up to which they are fitted to the weights: more of them lie densely enough as they are. */
const MOST_PALETTE_LEVELS = 31;
/** rows · columns² up to which codes are improved by coordinate descent. */
const DESCENT_WORK = 4e8;

/** Zeros and storage of one weight. What several treatments share is computed once. */
export class MatrixTreater {
  readonly #weight: StackedMatrices;
  readonly #kernels: Kernels;
  readonly #opset: number;
  readonly #hessians = new Map<number, LayerHessian>();
  readonly #objectives = new Map<number, Objective>();
  readonly #pruned = new Map<string, Float32Array>();

  constructor(weight: StackedMatrices, kernels: Kernels, opset: number) {
    this.#weight = weight;
    this.#kernels = kernels;
    this.#opset = opset;
  }

  treat(sparsity: SparsityTreatment | null, storage: StorageTreatment | null): TreatedMatrices {
    const { dims, dataType, layout } = this.#weight;
    const matrices = sparsity === null ? this.#weight.matrices : this.#prunedBy(sparsity);
    if (storage?.kind === "integers") return this.#quantized(matrices, storage, sparsity !== null);
    const values = fromMatrices(layout, matrices);
    const half = storage !== null || dataType === DataType.FLOAT16;
    return {
      stored: (storage === null ? storePlain : storeHalf)({ dims, dataType, values }, this.#opset),
      matrices: half ? halved(matrices) : matrices,
    };
  }

  #prunedBy(sparsity: SparsityTreatment): Float32Array {
    const key = JSON.stringify(sparsity);
    let pruned = this.#pruned.get(key);
    if (!pruned) {
      pruned = this.#each((w, index) => {
        const { rows } = this.#weight.layout;
        return pruneWith(w, rows, this.#hessian(index), requestOf(sparsity, w.length));
      });
      this.#pruned.set(key, pruned);
    }
    return pruned;
  }

  #quantized(
    matrices: Float32Array,
    storage: Extract<StorageTreatment, { kind: "integers" }>,
    keepZeros: boolean,
  ): TreatedMatrices {
    const { dims, dataType, layout } = this.#weight;
    const { count, rows, columns } = layout;
    const group = storage.group !== null && columns % storage.group === 0 ? storage.group : columns;
    const folded = storage.decode === "folded";
    const request: QuantizeRequest = {
      levels: storage.levels,
      spacing: folded && storage.levels <= MOST_PALETTE_LEVELS ? "palette" : "uniform",
      group: group === columns ? null : group,
      solver: rows * columns * columns > DESCENT_WORK ? "gptq" : "descent",
      keepZeros,
      halfScales: folded && (count * rows * columns) / group > FEW_SCALES,
    };
    const coded = quantizeWeight(
      { dims, dataType, values: fromMatrices(layout, matrices) },
      layout,
      Array.from({ length: count }, (_, index) => this.#objective(index)),
      request,
      this.#kernels,
    );
    const stored = folded
      ? storeCoded(coded, this.#opset)
      : (storeDequantized(coded, this.#opset) ?? storeCoded(coded, this.#opset));
    const values = toMatrices(layout, codedValues(coded));
    return { stored, matrices: dataType === DataType.FLOAT16 ? halved(values) : values };
  }

  #each(change: (w: Float32Array, index: number) => Float32Array): Float32Array {
    const { layout, matrices } = this.#weight;
    const size = layout.rows * layout.columns;
    return joined(
      Array.from({ length: layout.count }, (_, index) =>
        change(matrices.subarray(index * size, (index + 1) * size), index),
      ),
    );
  }

  #hessian(index: number): LayerHessian {
    const { layout, moments, positions } = this.#weight;
    let hessian = this.#hessians.get(index);
    if (!hessian) {
      hessian = new LayerHessian(moments[index] ?? null, layout.columns, this.#kernels, positions);
      this.#hessians.set(index, hessian);
    }
    return hessian;
  }

  #objective(index: number): Objective {
    const { layout, moments } = this.#weight;
    let objective = this.#objectives.get(index);
    if (!objective) {
      objective = objectiveOf(layout.columns, moments[index] ?? null, this.#kernels);
      this.#objectives.set(index, objective);
    }
    return objective;
  }
}

function requestOf(sparsity: SparsityTreatment, elements: number): PruneRequest {
  const { pattern, ratio, solver, regularizer, strength } = sparsity;
  const means = {
    solver,
    ...(regularizer === null ? {} : { regularizer }),
    ...(strength === null ? {} : { strength }),
  };
  if (pattern === "unstructured") {
    const zeros = ratio === null ? null : Math.round(ratio * elements);
    return { pattern: { kind: "unstructured", zeros }, ...means };
  }
  if (pattern === "block") return { pattern: { kind: "block", width: BLOCK, ratio: ratio ?? 0 }, ...means };
  return { pattern: { kind: "n:m", ...N_OF_M[pattern] }, ...means };
}
