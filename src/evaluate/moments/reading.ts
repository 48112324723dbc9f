import type { MatrixLayout } from "../../compress/layer-matrix.ts";
import { intAttribute, stringAttribute } from "../../onnx/edit.ts";
import type { LayerUse } from "../../onnx/layers.ts";
import { times } from "../../onnx/operators/node-shapes.ts";
import type { Window } from "../../onnx/shapes/window.ts";
import { convolutionVectors, pointWindow } from "./convolution-vectors.ts";
import { matrixVectors } from "./matrix-vectors.ts";
import { type RecurrentAxes, stateVectors, stepVectors } from "./recurrent-vectors.ts";
import type { Activation, Vectors } from "./vectors.ts";

/** How the vectors that a weight multiplies are found in values of the graph. JSON: what is equal sees the same. */
export interface Reading {
  /** Names of the values, as the graph of the use calls them. */
  readonly values: readonly string[];
  readonly as:
    | { readonly kind: "patches"; readonly groups: number; readonly window: Window }
    | { readonly kind: "matrix"; readonly featuresLast: boolean; readonly batch: readonly number[] }
    | { readonly kind: "steps" }
    /** Y, and the initial state where there is one. */
    | { readonly kind: "states"; readonly axes: RecurrentAxes };
}

/** The values that a use of a weight reads, or why they cannot be told. */
export function readingOf(use: LayerUse, dims: readonly number[]): Reading | { readonly reason: string } {
  const { node, geometry } = use;
  switch (geometry.kind) {
    case "convolution": {
      if (node.opType === "DeformConv")
        return { reason: "DeformConv takes its input where other inputs say" };
      const { groups, transposed, window } = geometry;
      return {
        values: [node.inputs[0]!],
        as: { kind: "patches", groups, window: transposed ? pointWindow(window.kernel.length) : window },
      };
    }
    case "matrix": {
      if (["transBatchA", "transBatchB"].some((name) => intAttribute(node, name, 0) !== 0)) {
        return { reason: `${node.opType} moves the batch of its factors` };
      }
      const { left } = geometry;
      const isTransposed = intAttribute(node, left ? "transB" : "transA", 0) !== 0;
      return {
        values: [node.inputs[left ? 1 : 0]!],
        as: { kind: "matrix", featuresLast: left === isTransposed, batch: dims.slice(0, -2) },
      };
    }
    case "recurrent": {
      if (geometry.part === "W") return { values: [node.inputs[0]!], as: { kind: "steps" } };
      const [y, initial] = [node.outputs[0] ?? "", node.inputs[5] ?? ""];
      if (y === "") return { reason: `${node.opType} does not give its states` };
      const direction = stringAttribute(node, "direction", "forward");
      const reversed = direction === "bidirectional" ? [false, true] : [direction === "reverse"];
      return {
        values: initial === "" ? [y] : [y, initial],
        as: { kind: "states", axes: { batchFirst: intAttribute(node, "layout", 0) === 1, reversed } },
      };
    }
    case "embedding":
      return { reason: "a table is looked up, not multiplied" };
  }
}

/** The vectors of one run, from the reading's values in that run. */
export function vectorsOf({ as }: Reading, values: readonly Activation[]): Vectors {
  const [x, initial] = values as [Activation, Activation?];
  switch (as.kind) {
    case "patches":
      return convolutionVectors(x, as.groups, as.window);
    case "matrix":
      return matrixVectors(x, as.featuresLast, as.batch);
    case "steps":
      return stepVectors(x);
    case "states":
      return stateVectors(x, initial ?? null, as.axes);
  }
}

/** Matrices that see vectors of their own: all directions of a recurrent layer see the same input. */
export function distinctMatrices({ as }: Reading, layout: MatrixLayout): number {
  return as.kind === "steps" ? 1 : layout.count;
}

/** Vectors that each matrix sees in one run; null where sizes are not known. */
export function vectorsPerRun({ geometry }: LayerUse): number | null {
  switch (geometry.kind) {
    case "convolution": {
      const { batch, inputSize, outputSize, transposed } = geometry;
      const positions = transposed ? inputSize : outputSize;
      return positions && times(batch, ...positions);
    }
    case "matrix":
      return geometry.rows;
    case "recurrent":
      return times(geometry.steps, geometry.batch);
    case "embedding":
      return null;
  }
}
