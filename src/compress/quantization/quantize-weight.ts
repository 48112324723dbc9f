import type { Kernels } from "../../kernels/kernels.ts";
import { free } from "../../onnx/free.ts";
import { elementCount } from "../../onnx/tensor-value.ts";
import { joined, matrixAt } from "../forms/solution.ts";
import { inFileOrder, type MatrixLayout } from "../layer-matrix.ts";
import { type CodedWeight, type Factor, factorOf } from "../storage/coded.ts";
import { matrixView } from "../storage/matrix-view.ts";
import type { Objective } from "./objective.ts";
import { type QuantizedMatrix, type QuantizeRequest, quantizeMatrix } from "./quantize-matrix.ts";

/** A weight by its matrices, count × rows × columns. */
interface MatricesOfWeight {
  /** Of the weight as the file stores it. */
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly layout: MatrixLayout;
  readonly matrices: Float32Array;
}

export interface QuantizedWeight {
  readonly coded: CodedWeight;
  /** The numbers that the codes stand for, count × rows × columns, before a cast to float16 or double. */
  readonly values: Float32Array;
}

/**
 * Quantises all matrices of a layer's weight. A palette belongs to one matrix: where there are several, levels are
 * evenly spaced.
 *
 * @param objectives one a matrix
 */
export function quantizeWeight(
  { dims, dataType, layout, matrices }: MatricesOfWeight,
  objectives: readonly Objective[],
  request: QuantizeRequest,
  kernels: Kernels,
): QuantizedWeight {
  const { count, rows, columns, transposed } = layout;
  const size = rows * columns;
  const asked: QuantizeRequest = count === 1 ? request : { ...request, spacing: "uniform" };
  const parts = Array.from({ length: count }, (_, i) =>
    quantizeMatrix(matrixAt(layout, matrices, i), rows, columns, objectives[i]!, asked, kernels),
  );
  const { group, halfScales } = request;
  const shared = group ?? columns;
  const { view, rowDims } = matrixView(layout, dims, shared);
  const found = codesOf(parts, size);
  const codes = inFileOrder(layout, found);
  if (codes !== found) free(found);
  const scales = joined(parts.map((part) => part.scales));
  const blocks = columns / shared;
  const rowScales = inFileOrder({ count, rows, columns: blocks, transposed }, scales);
  const coded = {
    dims,
    dataType,
    codes,
    levels: parts[0]?.levels ?? new Float32Array(1),
    view,
    factors: [compact(factorOf(rowDims, rowScales, halfScales))],
  };
  return { coded, values: joined(parts.map((part) => part.values)) };
}

/** Of all matrices, one after the other. */
function codesOf(parts: readonly QuantizedMatrix[], size: number): Uint8Array {
  if (parts.length === 1) return parts[0]!.codes;
  const codes = new Uint8Array(parts.length * size);
  for (const [i, part] of parts.entries()) codes.set(part.codes, i * size);
  return codes;
}

/** The factor without the axes along which it is the same everywhere. */
function compact(factor: Factor): Factor {
  let { dims, values } = factor;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    const size = dims[axis]!;
    if (size === 1 || size === 0) continue;
    const inner = elementCount(dims.slice(axis + 1));
    const firstOf = (i: number) => i - (Math.floor(i / inner) % size) * inner;
    if (!values.every((value, i) => value === values[firstOf(i)])) continue;
    values = values.filter((_, i) => firstOf(i) === i);
    dims = dims.map((dim, i) => (i === axis ? 1 : dim));
  }
  return { ...factor, dims, values };
}
