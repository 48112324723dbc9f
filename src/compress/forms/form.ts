import { intAttribute } from "../../onnx/edit.ts";
import type {
  ConvolutionGeometry,
  LayerGeometry,
  MatrixGeometry,
  RecurrentGeometry,
} from "../../onnx/layer-geometry.ts";
import type { Node } from "../../onnx/model.ts";
import type { SharingForm } from "../treatment.ts";

/**
 * What a layer is computed as: itself, or a short chain of standard nodes whose weights multiply to (about) the
 * weight it had (ALGORITHMS §3). JSON.
 *
 * | form | chain |
 * |---|---|
 * | dense | the node itself |
 * | kernel_sharing | k×k of shared basis kernels a channel and 1×1 of coefficients, in either order (PENNI, ICML 2020) |
 * | low_rank | k×k to `rank`, then 1×1; two products; a product before a recurrent layer; 1×1 before a transposed convolution |
 * | spatial | the kernel along `axis` alone to `rank`, then the other axes (k×1, then 1×k) |
 * | tucker | 1×1 to `inputRank`, k×k to `outputRank`, 1×1 (Tucker-2); without the last where `outputRank` is null |
 *
 * Ranks and bases are those of one group of a grouped convolution. A `stage` names the layers that share the first
 * factor (stages/layer-stages.ts); layers whose forms are equal then hold the same one, and the artifact stores it once.
 */
export type Form =
  | { readonly kind: "dense" }
  | {
      readonly kind: "kernel_sharing";
      readonly order: SharingForm;
      readonly bases: number;
      readonly stage?: string;
    }
  | { readonly kind: "low_rank"; readonly rank: number; readonly stage?: string }
  | { readonly kind: "spatial"; readonly axis: number; readonly rank: number }
  | { readonly kind: "tucker"; readonly inputRank: number; readonly outputRank: number | null };

export type FormKind = Form["kind"];

/** What a form has to know of the layer that it takes the place of. JSON. */
export interface FormTarget {
  readonly op: string;
  /** Shape of the weight. */
  readonly dims: readonly number[];
  readonly geometry: ConvolutionGeometry | MatrixGeometry | RecurrentGeometry;
  /** Gemm transposes its other factor. */
  readonly otherTransposed: boolean;
}

/** null for a table that is looked up. */
export function targetOf(node: Node, geometry: LayerGeometry, dims: readonly number[]): FormTarget | null {
  if (geometry.kind === "embedding") return null;
  const other = geometry.kind === "matrix" && geometry.left ? "transB" : "transA";
  const otherTransposed = node.opType === "Gemm" && intAttribute(node, other, 0) !== 0;
  return { op: node.opType, dims, geometry, otherTransposed };
}

/** Elements of a kernel, k²; 1 for what is no convolution. */
export function kernelElements({ dims, geometry }: FormTarget): number {
  if (geometry.kind !== "convolution") return 1;
  return dims.slice(2).reduce((product, dim) => product * dim, 1);
}

/** Why the layer cannot take a form of that kind; null where it can. */
export function reasonAgainst(kind: FormKind, target: FormTarget): string | null {
  if (kind === "dense") return null;
  const { op, dims, geometry } = target;
  if (geometry.kind === "recurrent") {
    if (geometry.part === "R") return "its recurrent weight is used at every step inside the node";
    return kind === "low_rank" ? null : "it is no convolution";
  }
  if (geometry.kind === "matrix") {
    if (op !== "MatMul" && op !== "Gemm") return `${op} has no chain of standard nodes`;
    return kind === "low_rank" ? null : "it is no convolution";
  }
  const inputs = geometry.inputChannels / geometry.groups;
  const depthwise = "each of its groups has one input channel";
  if (geometry.transposed) {
    if (op !== "ConvTranspose") return `${op} has no chain of standard nodes`;
    if (kind !== "low_rank") return "it is a transposed convolution";
    return inputs > 1 ? null : depthwise;
  }
  if (op !== "Conv") return `${op} has no chain of standard nodes`;
  if (kind === "low_rank") return inputs > 1 ? null : depthwise;
  if (kernelElements(target) <= 1) return "its kernel is 1×1";
  if (kind === "spatial") {
    return dims.slice(2).filter((dim) => dim > 1).length > 1 ? null : "its kernel has one axis only";
  }
  return inputs > 1 ? null : depthwise;
}

/** The layer cannot be computed as this form. */
export class FormError extends Error {
  override readonly name = "FormError";
  constructor(form: Form, reason: string) {
    super(`the layer has no form ${JSON.stringify(form)}: ${reason}`);
  }
}

/** @throws FormError where the layer cannot take the form, or its ranks are no whole numbers from 1 up. */
export function assertForm(form: Form, target: FormTarget): void {
  const reason = reasonAgainst(form.kind, target);
  if (reason !== null) throw new FormError(form, reason);
  if (!ranksOf(form).every((rank) => Number.isInteger(rank) && rank >= 1)) {
    throw new FormError(form, "ranks are whole numbers from 1 up");
  }
  if (form.kind === "spatial" && !((target.dims[2 + form.axis] ?? 1) > 1)) {
    throw new FormError(form, `its kernel does not extend along axis ${form.axis}`);
  }
}

function ranksOf(form: Form): number[] {
  switch (form.kind) {
    case "dense":
      return [];
    case "kernel_sharing":
      return [form.bases];
    case "low_rank":
    case "spatial":
      return [form.rank];
    case "tucker":
      return [form.inputRank, form.outputRank ?? 1];
  }
}
