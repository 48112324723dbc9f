import type { Kernels } from "../../kernels/kernels.ts";
import { assertForm, FormError, kernelElements } from "../forms/form.ts";
import {
  type FormLayer,
  type FormWeight,
  formError,
  joined,
  matrixAt,
  type SharedSolution,
} from "../forms/solution.ts";
import { type AlternatingOptions, alternating } from "../low-rank/alternating.ts";
import { relativeWeight } from "../low-rank/basis-sharing.ts";
import { expanded, type Kronecker } from "../low-rank/kronecker.ts";
import { lastFactors } from "../low-rank/last-factor.ts";
import { metricOf } from "../low-rank/metric.ts";
import type { Part } from "../low-rank/part.ts";
import type { SharingForm } from "../treatment.ts";
import { type CoefficientSparsity, sparseCoefficients, withoutDeadBases } from "./sparse-coefficients.ts";

export interface SharingOptions extends Pick<AlternatingOptions, "sweeps"> {
  /** Zeros among the coefficients; none where left out. */
  readonly sparsity?: CoefficientSparsity | null;
}

/**
 * Kernel sharing in the layer's metric: basis kernels B and coefficients C that minimise the layer error and not
 * ‖ΔW‖ (PENNI, ICML 2020, §3.1, is its data-free case), by alternating least squares. Several convolutions may share
 * one basis ("share": "stage"): each then counts by the share that it loses. Groups of a grouped convolution share
 * theirs, too.
 *
 * @param layers convolutions of one kernel size
 * @throws FormError where a layer has no such form or another kernel
 */
export function prepareKernelSharing(
  layers: readonly FormLayer[],
  kernels: Kernels,
  damping?: number,
): { at(bases: number, order: SharingForm, options?: SharingOptions): SharedSolution[] } {
  const size = kernelElements(layers[0]!.target);
  const partsOf = layers.map((layer) => {
    if (kernelElements(layer.target) !== size) {
      throw new FormError(FORM, "a basis is shared by equal kernels");
    }
    const parts = partsOfLayer(layer, damping);
    if (layers.length === 1) return parts;
    const weight = 1 / parts.reduce((sum, part) => sum + 1 / relativeWeight(part, kernels), 0);
    return parts.map((part) => ({ ...part, weight }));
  });
  const parts = partsOf.flat();
  const solver = alternating(parts, kernels);
  return {
    at(asked, order, { sweeps, sparsity = null } = {}) {
      const full = solver.at(asked, { sweeps });
      const found = sparsity ? sparseCoefficients(parts, solver, full, sparsity, kernels) : full;
      const { rank, first, last } = withoutDeadBases(found);
      let taken = 0;
      return layers.map((layer, index) => {
        const own = partsOf[index]!;
        const coefficients = last.slice(taken, taken + own.length);
        taken += own.length;
        return solutionOf(layer, own, { rank, first, coefficients }, order, kernels);
      });
    },
  };
}

/** The layer with a basis that is at hand, bases × k². */
export function withSharedKernels(
  layer: FormLayer,
  basis: Float32Array,
  order: SharingForm,
  kernels: Kernels,
  damping?: number,
): SharedSolution {
  const parts = partsOfLayer(layer, damping);
  const rank = basis.length / kernelElements(layer.target);
  const coefficients = lastFactors(parts, basis, rank, kernels);
  return solutionOf(layer, parts, { rank, first: basis, coefficients }, order, kernels);
}

const FORM = { kind: "kernel_sharing", order: "basis_first", bases: 1 } as const;

/** One a group. */
function partsOfLayer({ target, layout, matrices, moments }: FormLayer, damping?: number): Part[] {
  assertForm(FORM, target);
  const size = kernelElements(target);
  const kronecker: Kronecker = { blocks: layout.columns / size, columns: size, inner: 1 };
  return Array.from({ length: layout.count }, (_, index) => {
    const metric = metricOf(moments[index] ?? null, layout.columns, damping);
    const w = matrixAt(layout, matrices, index);
    return { w, rows: layout.rows, kronecker, metric, weight: 1 };
  });
}

function solutionOf(
  layer: FormLayer,
  parts: readonly Part[],
  { rank, first, coefficients }: { rank: number; first: Float32Array; coefficients: readonly Float32Array[] },
  order: SharingForm,
  kernels: Kernels,
): SharedSolution {
  const { kronecker, rows } = parts[0]!;
  const dense = joined(coefficients.map((c) => expanded(kronecker, first, rank, c, rows, kernels)));
  const { blocks: inputs } = kronecker;
  const basisFirst = order === "basis_first";
  const basis: FormWeight = { role: "basis", values: first };
  const mixed: FormWeight = {
    role: "coefficients",
    values: joined(basisFirst ? coefficients : coefficients.map((c) => outputMajor(c, rows, inputs, rank))),
  };
  return {
    form: { kind: "kernel_sharing", order, bases: rank },
    weights: basisFirst ? [basis, mixed] : [mixed, basis],
    dense,
    error: formError(layer, dense, kernels),
    basis: first,
  };
}

/** Coefficients outputs × inputs × bases as (outputs·bases) × inputs. */
function outputMajor(c: Float32Array, outputs: number, inputs: number, bases: number): Float32Array {
  const to = new Float32Array(c.length);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let b = 0; b < bases; b++) to[(o * bases + b) * inputs + i] = c[(o * inputs + i) * bases + b]!;
    }
  }
  return to;
}
