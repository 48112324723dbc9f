import type { Kernels } from "../kernels/kernels.ts";
import { DataType } from "../onnx/data-type.ts";
import { free } from "../onnx/free.ts";
import { columnsBack, columnsIn, momentsIn } from "./column-order.ts";
import { joined } from "./forms/solution.ts";
import type { InputMoments } from "./input-moments.ts";
import { inFileOrder, type MatrixLayout } from "./layer-matrix.ts";
import { channelsFirst, inputGroups, positionsFirst } from "./quantization/input-groups.ts";
import { type Objective, objectiveOf } from "./quantization/objective.ts";
import type { QuantizeRequest } from "./quantization/quantize-matrix.ts";
import { quantizeWeight } from "./quantization/quantize-weight.ts";
import { LayerHessian } from "./sparsity/hessian.ts";
import { pruneWith } from "./sparsity/prune-matrix.ts";
import type { PruneRequest } from "./sparsity/request.ts";
import { type CodedWeight, halved } from "./storage/coded.ts";
import { scaleLayouts } from "./storage/scale-layout.ts";
import { areIntegers, INT4_OPSET, storeCoded, storeHalf, storePlain } from "./storage/store.ts";
import { storeDequantized } from "./storage/store-dequantized.ts";
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
  /** What was done otherwise than the treatment says, and why. */
  readonly remarks: readonly string[];
}

/** Width of the blocks that become zero together. */
const BLOCK = 4;
/** More scales than this are stored as half floats. */
const FEW_SCALES = 16;
/** Levels up to which they are fitted to the weights: more of them lie densely enough as they are. */
const MOST_PALETTE_LEVELS = 31;
/** rows · columns² up to which codes are improved by coordinate descent. */
const DESCENT_WORK = 4e8;
/** Columns² of all Hessians and objectives that are kept together; with its factor one takes 8 bytes for each. */
const MOST_KEPT = 4 * 2 ** 20;

/** Zeros and storage of one weight. What several treatments share is computed once, as long as memory lasts. */
export class MatrixTreater {
  readonly #weight: StackedMatrices;
  readonly #kernels: Kernels;
  readonly #opset: number;
  readonly #hessians = new Map<number, LayerHessian>();
  readonly #objectives = new Map<string, Objective>();
  readonly #pruned = new Map<string, Float32Array>();
  /** The codes that were found last, and what they stand for. */
  #found: { readonly codes: Uint8Array; readonly values: Float32Array } | null = null;

  constructor(weight: StackedMatrices, kernels: Kernels, opset: number) {
    this.#weight = weight;
    this.#kernels = kernels;
    this.#opset = opset;
  }

  /** @param sparsity zeros to make; "as it is" where the weight has them already */
  treat(sparsity: SparsityTreatment | "as it is" | null, storage: StorageTreatment | null): TreatedMatrices {
    const { dims, dataType, layout, matrices: given } = this.#weight;
    const matrices = sparsity === null || sparsity === "as it is" ? given : this.#prunedBy(sparsity);
    if (storage?.kind === "integers") return this.#quantized(matrices, storage, sparsity !== null);
    const values = inFileOrder(layout, matrices);
    const half = storage !== null || dataType === DataType.FLOAT16;
    return {
      stored: (storage === null ? storePlain : storeHalf)({ dims, dataType, values }, this.#opset),
      matrices: half ? halved(matrices) : matrices,
      remarks: [],
    };
  }

  /** As LayerTreater's. */
  close(): void {
    free(...this.#pruned.values());
    if (this.#found) free(this.#found.codes, this.#found.values);
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
    const { dims, dataType, layout, positions } = this.#weight;
    const { count, rows, columns } = layout;
    const { group, remark } = inputGroups(columns, positions, storage.group);
    const order = group !== null && positions > 1 ? positionsFirst(columns, positions) : null;
    const folded = storage.decode === "folded";
    const request: QuantizeRequest = {
      levels: storage.levels,
      spacing: folded && storage.levels <= MOST_PALETTE_LEVELS ? "palette" : "uniform",
      group,
      solver: rows * columns * columns > DESCENT_WORK ? "gptq" : "descent",
      keepZeros,
      halfScales: folded && (count * rows * columns) / (group ?? columns) > FEW_SCALES,
    };
    const found = quantizeWeight(
      {
        dims: order ? [count * rows, positions, columns / positions] : dims,
        dataType,
        layout,
        matrices: order ? columnsIn(order, matrices, count * rows) : matrices,
      },
      Array.from({ length: count }, (_, index) => this.#objective(index, order)),
      request,
      this.#kernels,
    );
    const coded = order && group !== null ? channelsFirst(found.coded, group, dims) : found.coded;
    const dequantized = folded ? null : storeDequantized(coded, this.#opset);
    const values = order ? columnsBack(order, found.values, count * rows) : found.values;
    this.#found = { codes: coded.codes, values };
    return {
      stored: dequantized ?? storeCoded(coded, this.#opset),
      matrices: dataType === DataType.FLOAT16 ? halved(values) : values,
      remarks: [remark, folded ? null : storedOtherwise(coded, dequantized, this.#opset)].filter(
        (one) => one !== null,
      ),
    };
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

  /** Before another one is made: forgets those there are where all of them would be too much. */
  #makeRoom(): void {
    const kept = this.#hessians.size + this.#objectives.size;
    if ((kept + 1) * this.#weight.layout.columns ** 2 <= MOST_KEPT) return;
    this.#hessians.clear();
    this.#objectives.clear();
  }

  #hessian(index: number): LayerHessian {
    const { layout, moments, positions } = this.#weight;
    let hessian = this.#hessians.get(index);
    if (!hessian) {
      this.#makeRoom();
      hessian = new LayerHessian(moments[index] ?? null, layout.columns, this.#kernels, positions);
      this.#hessians.set(index, hessian);
    }
    return hessian;
  }

  /** @param order of the columns; null for that of the weight */
  #objective(index: number, order: Int32Array | null): Objective {
    const { layout, moments } = this.#weight;
    const key = `${index}${order ? " reordered" : ""}`;
    let objective = this.#objectives.get(key);
    if (!objective) {
      this.#makeRoom();
      const seen = moments[index] ?? null;
      const ordered = seen && order ? momentsIn(order, seen) : seen;
      objective = objectiveOf(layout.columns, ordered, this.#kernels);
      this.#objectives.set(key, objective);
    }
    return objective;
  }
}

/** Why the file does not say the codes as DequantizeLinear of their own type; null where it does. */
function storedOtherwise(
  { dims, view, factors, levels }: CodedWeight,
  dequantized: StoredWeight | null,
  opset: number,
): string | null {
  const has = `the model has opset ${opset}`;
  if (dequantized !== null) {
    const wide = opset < INT4_OPSET && areIntegers(levels, -8, 7);
    return wide ? `int4 is stored as int8, since it needs opset ${INT4_OPSET} and ${has}` : null;
  }
  const since = Math.min(...scaleLayouts(dims, view, factors[0]!.dims).map((layout) => layout.opset));
  const cause = Number.isFinite(since)
    ? `needs opset ${since} for its scales and ${has}`
    : "has blocks of one axis only";
  return `nodes that fold decode it, since DequantizeLinear ${cause}`;
}

function requestOf(sparsity: SparsityTreatment, elements: number): PruneRequest {
  const { pattern, ratio, solver, regularizer, strength } = sparsity;
  const means = {
    solver,
    // The walk's own updates stop at the columns behind it; least squares on what is left reaches them all.
    ...(solver === "obs" && { refit: true }),
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
