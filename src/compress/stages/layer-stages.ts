import type { LayerPolicy, Policy } from "../allocate/policy.ts";
import { reasonAgainst } from "../forms/form.ts";
import { MOST_GRAM_FEATURES } from "../input-moments.ts";
import type { LayerFacts } from "../layer-facts.ts";

/** Layers that share the first factor of a form. JSON. */
export type LayerStage = {
  readonly name: string;
  readonly kind: "kernel_sharing" | "low_rank";
  /** Their places among the model's layers, two or more. */
  readonly layers: readonly number[];
};

/** A layer, and the graph that its weight lies in. */
export interface StagedLayer {
  readonly facts: LayerFacts;
  readonly graph: readonly string[];
}

/** Bytes of the matrices and moments that a stage's solver holds at once. */
const MOST_BYTES = 48 * 2 ** 20;
const FLOAT_BYTES = 4;
/** Copies of its matrices that the solver makes, about. */
const COPIES = 4;

/**
 * The stages of a model whose recipe asks for bases that stages share.
 *
 * - Of `kernel_sharing`: convolutions of one kernel shape whose outputs have one spatial size, whatever their channels.
 * - Of `low_rank`: products (and recurrent layers' inputs) with equal numbers of input and output features: the same matrix of
 *   a transformer's blocks (Basis Sharing, ICLR 2025).
 *
 * The layers of a stage lie in one graph and are asked for alike. Where they take too much memory together, the
 * next ones begin a stage of their own. A layer without another is in no stage.
 */
export function layerStages(layers: readonly StagedLayer[], policy: Policy): LayerStage[] {
  const open = new Map<string, { kind: LayerStage["kind"]; layers: number[]; bytes: number }[]>();
  layers.forEach(({ facts, graph }, index) => {
    const own = policy.layers.get(facts.name)!;
    const kind = sharedKind(facts, own);
    if (kind === null) return;
    const key = JSON.stringify([kind, graph, facts.dataType, likeness(facts), own.sharing, own.lowRank]);
    const bytes = memoryOf(facts);
    const stages = open.get(key) ?? [];
    const last = stages.at(-1);
    if (last && last.bytes + bytes <= MOST_BYTES) {
      last.layers.push(index);
      last.bytes += bytes;
    } else {
      stages.push({ kind, layers: [index], bytes });
    }
    open.set(key, stages);
  });
  return [...open.values()]
    .flat()
    .filter((stage) => stage.layers.length > 1)
    .map(({ kind, layers: places }, index) => ({ name: `${index + 1}`, kind, layers: places }));
}

function sharedKind(facts: LayerFacts, { skip, sharing, lowRank }: LayerPolicy): LayerStage["kind"] | null {
  const { target, layout } = facts;
  if (skip || facts.fixed !== null || facts.rigid !== null || target === null || layout === null) return null;
  const may = (kind: LayerStage["kind"], asked: LayerPolicy["sharing"] | LayerPolicy["lowRank"]) =>
    asked.use !== "no" && asked.share === "stage" && reasonAgainst(kind, target) === null;
  if (may("kernel_sharing", sharing)) return "kernel_sharing";
  const single = target.geometry.kind === "recurrent" || layout.count === 1;
  const product = target.geometry.kind !== "convolution" && single;
  return product && may("low_rank", lowRank) ? "low_rank" : null;
}

/** What layers of one stage have in common. */
function likeness({ target, layout }: LayerFacts): unknown {
  const { geometry, dims } = target!;
  if (geometry.kind === "convolution") return [dims.slice(2), geometry.outputSize];
  const left = geometry.kind === "matrix" && geometry.left;
  return [geometry.kind, left, layout!.columns, layout!.rows * layout!.count];
}

function memoryOf({ layout }: LayerFacts): number {
  const { count, rows, columns } = layout!;
  const moments = columns <= MOST_GRAM_FEATURES ? columns * columns : columns;
  return FLOAT_BYTES * count * (COPIES * rows * columns + moments);
}
