import { MOST_GRAM_FEATURES } from "../../compress/input-moments.ts";
import { layoutOf, type MatrixLayout } from "../../compress/layer-matrix.ts";
import { nodeLabel, subgraphsOf } from "../../onnx/edit.ts";
import { type Layer, type LayerUse, listLayers } from "../../onnx/layers.ts";
import type { Graph, Model } from "../../onnx/model.ts";
import { countOf } from "../../onnx/operators/node-shapes.ts";
import type { Shapes } from "../../onnx/shapes/shapes.ts";
import { distinctMatrices, type Reading, readingOf, vectorsPerRun } from "./reading.ts";

/** One collection of moments. Layers that read the same values in the same way (q, k and v of attention) share it. */
export interface MomentsTask {
  readonly layers: readonly string[];
  /** Matrices of each layer, and how many of them see vectors of their own (1 where all see the same). */
  readonly matrices: number;
  readonly distinct: number;
  readonly n: number;
  readonly keepsGram: boolean;
  /** Nodes that use the weight; their vectors are pooled. */
  readonly uses: readonly TaskUse[];
}

export interface TaskUse {
  /** The graph that the node is in, as walkGraphs gives it. */
  readonly path: readonly string[];
  readonly reading: Reading;
  /** Vectors in one run, and bytes of each value; null where sizes are not known. */
  readonly vectors: number | null;
  readonly bytes: readonly (number | null)[];
}

/** A layer whose moments cannot be collected, and why. */
export interface Unseen {
  readonly layer: string;
  readonly reason: string;
}

/** Bytes of Gram matrices that a layer may have; of one with more only the diagonals are kept. */
const MOST_GRAM_BYTES = 64 * 2 ** 20;
/** Groups of a convolution or matrices of a batch; the widest depthwise layers in use have some thousands. */
const MOST_MATRICES = 2 ** 14;
const FLOAT_BYTES = 4;

/** What has to be collected for the layers of a model, in the order of the layers. */
export function planMoments(model: Model, shapes: Shapes): { tasks: MomentsTask[]; unseen: Unseen[] } {
  const bodies = bodiesOf(model.graph);
  const tasks = new Map<string, MomentsTask>();
  const unseen: Unseen[] = [];
  for (const layer of listLayers(model, shapes)) {
    const task = taskOf(layer, shapes, bodies);
    if ("reason" in task) {
      unseen.push(task);
      continue;
    }
    const { layers, ...rest } = task;
    const key = JSON.stringify(rest);
    const known = tasks.get(key);
    tasks.set(key, known ? { ...known, layers: [...known.layers, ...layers] } : task);
  }
  return { tasks: [...tasks.values()], unseen };
}

function taskOf(layer: Layer, shapes: Shapes, bodies: ReadonlyMap<string, string>): MomentsTask | Unseen {
  const because = (reason: string): Unseen => ({ layer: layer.name, reason });
  if (layer.fixed !== null) return because(layer.fixed);
  let layout: MatrixLayout | null = null;
  let distinct = 0;
  const uses: TaskUse[] = [];
  for (const use of layer.uses) {
    const body = bodies.get(JSON.stringify(use.path));
    if (body) return because(`it is in the body of a ${body}, whose values are not seen from outside`);
    const seen = layoutOf(use.geometry, layer.dims);
    if (seen === null || !fits(seen, layer.parameters)) {
      return because(`its shape [${layer.dims}] does not suit ${use.node.opType}`);
    }
    if (layout !== null && JSON.stringify(layout) !== JSON.stringify(seen)) {
      return because("the nodes that use its weight see different matrices in it");
    }
    layout = seen;
    const reading = readingOf(use, layer.dims);
    if ("reason" in reading) {
      // A table may be a factor elsewhere, as in a language model's last layer.
      if (use.geometry.kind === "embedding" && layer.uses.length > 1) continue;
      return because(reading.reason);
    }
    distinct = Math.max(distinct, distinctMatrices(reading, layout));
    uses.push({
      path: use.path,
      reading,
      vectors: vectorsPerRun(use),
      bytes: reading.values.map((name) => bytesOf(shapes, use, name)),
    });
  }
  if (layout === null || uses.length === 0) return because("no node multiplies by it");
  const { count, columns } = layout;
  if (count > MOST_MATRICES) return because(`it is a batch of ${count} matrices`);
  const keepsGram =
    columns <= MOST_GRAM_FEATURES && distinct * columns * columns * FLOAT_BYTES <= MOST_GRAM_BYTES;
  return { layers: [layer.name], matrices: count, distinct, n: columns, keepsGram, uses };
}

function fits({ count, rows, columns }: MatrixLayout, parameters: number): boolean {
  return [count, rows, columns].every(Number.isInteger) && count * rows * columns === parameters;
}

function bytesOf(shapes: Shapes, { graph }: LayerUse, name: string): number | null {
  const count = countOf(shapes.of(graph, name)?.dims);
  return count === null ? null : count * FLOAT_BYTES;
}

/** The first operator other than If around each graph that is inside one, by path. */
function bodiesOf(root: Graph): ReadonlyMap<string, string> {
  const bodies = new Map<string, string>();
  const walk = (graph: Graph, path: readonly string[], inside: string | undefined) => {
    if (inside !== undefined) bodies.set(JSON.stringify(path), inside);
    for (const [index, node] of graph.nodes.entries()) {
      const body = inside ?? (node.opType === "If" ? undefined : node.opType);
      for (const { attribute, graph: inner } of subgraphsOf(node)) {
        walk(inner, [...path, nodeLabel(node, index), attribute], body);
      }
    }
  };
  walk(root, [], undefined);
  return bodies;
}
