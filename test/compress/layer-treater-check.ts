import { expect } from "vitest";
import type { InputMoments } from "../../src/compress/input-moments.ts";
import { toMatrices } from "../../src/compress/layer-matrix.ts";
import type { LayerTreater } from "../../src/compress/layer-treater.ts";
import type { TreatedLayer } from "../../src/compress/treated-layer.ts";
import { UNTOUCHED } from "../../src/compress/treatment.ts";
import { nodeKernels } from "../../src/kernels/wasm/node.ts";
import type { Layer } from "../../src/onnx/layers.ts";
import type { Model } from "../../src/onnx/model.ts";
import { correlatedMoments } from "./forms-layer.ts";
import {
  assembled,
  type Kind,
  layersOf,
  type MomentsOf,
  modelWith,
  OPSET,
  treaterOf,
  withEffective,
} from "./one-layer.ts";
import { type Feed, largestRelative, runBoth, runWeb } from "./tiny.ts";

export const kernels = await nodeKernels();

export interface Prepared {
  readonly model: Model;
  readonly layer: Layer;
  readonly treater: LayerTreater;
  /** What the treater saw; null where nothing was. */
  readonly moments: MomentsOf | null;
}

export async function prepared(
  kind: Kind,
  options: Parameters<typeof modelWith>[1] = {},
  moments: MomentsOf | null = correlatedMoments,
): Promise<Prepared> {
  const model = await modelWith(kind, options);
  const layer = (await layersOf(model)).find(({ op }) => op === kind.node.opType)!;
  const seen = moments && remembered(moments);
  const treater = await treaterOf(layer, kernels, seen, options.opset ?? OPSET);
  return { model, layer, treater, moments: seen };
}

/** Each computed once. */
function remembered(moments: MomentsOf): MomentsOf {
  const known = new Map<string, InputMoments | null>();
  return (n, index) => {
    const key = `${n} ${index}`;
    const one = known.get(key) ?? moments(n, index);
    known.set(key, one);
    return one;
  };
}

export interface Comparison {
  readonly feeds: Readonly<Record<string, Feed>>;
  readonly bound?: number;
  readonly opset?: number;
  /** In onnxruntime-node besides onnxruntime-web. */
  readonly both?: boolean;
}

/** The assembled model and the one with the dense weight that the treatment stands for, really run. */
export async function compared(
  { model, layer }: Pick<Prepared, "model" | "layer">,
  treated: TreatedLayer,
  { feeds, bound = 1e-5, opset = OPSET, both = false }: Comparison,
): Promise<Model> {
  const edited = assembled(model, layer, treated, opset);
  const reference = withEffective(model, layer, treated);
  const which = JSON.stringify(treated.candidate.treatment);
  if (both) {
    const [expected, found] = [await runBoth(reference, feeds), await runBoth(edited, feeds)];
    expect(largestRelative(expected.web, found.web), which).toBeLessThan(bound);
    expect(largestRelative(expected.node, found.node), which).toBeLessThan(bound);
  } else {
    expect(largestRelative(await runWeb(reference, feeds), await runWeb(edited, feeds)), which).toBeLessThan(
      bound,
    );
  }
  return edited;
}

/** tr(ΔW·G·ΔWᵀ)/tr(W·G·Wᵀ) over all matrices, entry by entry in double precision. */
export function slowError({ layer, treater, moments }: Prepared, treated: TreatedLayer): number {
  const { layout } = treater.facts;
  const { count, rows, columns } = layout!;
  const [before, after] = [treater.treat(UNTOUCHED).effective, treated.effective].map((values) =>
    toMatrices(layout!, values),
  );
  const embedding = layer.uses[0]!.geometry.kind === "embedding";
  let [lost, total] = [0, 0];
  for (let index = 0; index < count; index++) {
    const seen = embedding || moments === null ? null : moments(columns, index);
    const g = (i: number, j: number) => {
      if (seen === null) return i === j ? 1 : 0;
      const second = seen.gram ? seen.gram[i * columns + j]! : i === j ? seen.diagonal[i]! : 0;
      const taken = treated.bias !== null && (seen.gram !== null || i === j);
      return second - (taken ? seen.mean[i]! * seen.mean[j]! : 0);
    };
    for (let r = 0; r < rows; r++) {
      const at = (index * rows + r) * columns;
      for (let i = 0; i < columns; i++) {
        const [wi, di] = [before![at + i]!, after![at + i]! - before![at + i]!];
        for (let j = 0; j < columns; j++) {
          const entry = g(i, j);
          total += wi * entry * before![at + j]!;
          lost += di * entry * (after![at + j]! - before![at + j]!);
        }
      }
    }
  }
  return total > 0 ? lost / total : lost > 0 ? 1 : 0;
}
