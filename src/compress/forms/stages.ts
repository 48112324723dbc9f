import type { MatrixLayout } from "../layer-matrix.ts";
import type { Kronecker } from "../low-rank/kronecker.ts";
import { chainOf, storedDims, type WeightRole } from "./chain.ts";
import { type Form, kernelElements } from "./form.ts";
import { type FormLayer, matrixAt } from "./solution.ts";

/** One factor of a form. The last is the one whose rows are the layer's, whatever the order in which the chain runs. */
export interface Stage {
  readonly role: WeightRole;
  /** As it is stored. */
  readonly dims: readonly number[];
  readonly layout: MatrixLayout;
  /**
   * What its columns multiply: the layer's input, at one position of its kernel where it works at each alone; what the
   * stages before make of it; or each channel alone (a shared basis), of which nothing is known.
   */
  readonly sees: "input" | "before" | null;
  /** How it acts on the layer's features (see Kronecker); null for the last. */
  readonly kronecker: Kronecker | null;
}

/** From the input on; empty for the layer itself. */
export function stagesOf(form: Form, { target, layout }: FormLayer): Stage[] {
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
    sees: Stage["sees"],
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
        stage("right", { count: shared ? 1 : count, rows: rank, columns }, all, "input", product || shared),
        stage("left", { count, rows, columns: rank }, null, "before", flipped),
      ];
    }
    case "kernel_sharing": {
      const { bases, order } = form;
      const size = kernelElements(target);
      const inputs = columns / size;
      const within = { blocks: inputs, columns: size, inner: 1 };
      return [
        stage("basis", { count: 1, rows: bases, columns: size }, within, null),
        order === "basis_first"
          ? stage("coefficients", { count, rows, columns: inputs * bases }, null, "before")
          : stage("coefficients", { count, rows: rows * bases, columns: inputs }, null, "input"),
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
          "input",
        ),
        stage("left", { count, rows, columns: form.rank * across }, null, "before"),
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
        "input",
      );
      const within = inputRank * size;
      if (outputRank === null)
        return [right, stage("core", { count, rows, columns: within }, null, "before")];
      return [
        right,
        stage(
          "core",
          { count, rows: outputRank, columns: within },
          { blocks: 1, columns: within, inner: 1 },
          "before",
        ),
        stage("left", { count, rows, columns: outputRank }, null, "before"),
      ];
    }
  }
}

/** What matrix `index` of the layer is multiplied by: a stage of one matrix serves them all. */
export function factorAt(layout: MatrixLayout, factor: Float32Array, index: number): Float32Array {
  return layout.count === 1 ? factor : matrixAt(layout, factor, index);
}
