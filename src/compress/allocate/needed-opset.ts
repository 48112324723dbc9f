import type { LayerFacts } from "../layer-facts.ts";
import { matrixView } from "../storage/matrix-view.ts";
import { scaleLayouts } from "../storage/scale-layout.ts";
import { INT4_OPSET } from "../storage/store.ts";
import { storageOf } from "./named-storage.ts";
import type { Policy } from "./policy.ts";

/**
 * Opsets that DequantizeLinear needs for what the recipe names, falling: 21 for int4 and for groups of inputs, 13 for
 * one scale a row, or 21 where the rows lie along several axes of the weight. None where the recipe names no integers,
 * or nodes that fold.
 */
export function neededOpsets(policy: Policy, layers: readonly LayerFacts[]): number[] {
  const needed = layers.flatMap(({ name, fixed, layout, dims }) => {
    const { skip, quantization } = policy.layers.get(name)!;
    const storage = storageOf(quantization);
    if (skip || fixed !== null || layout === null || storage?.kind !== "integers") return [];
    if (storage.decode === "folded") return [];
    if (storage.levels <= 15 || storage.group !== null) return [INT4_OPSET];
    const { view, rowDims } = matrixView(layout, dims, layout.columns);
    return scaleLayouts(dims, view, rowDims)
      .map(({ opset }) => opset)
      .slice(0, 1);
  });
  return [...new Set(needed)].sort((a, b) => b - a);
}
