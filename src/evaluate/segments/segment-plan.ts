import { freshNames, nodeLabel, subgraphsOf } from "../../onnx/edit.ts";
import type { Graph, Model, Node } from "../../onnx/model.ts";
import { inferShapes } from "../../onnx/shapes/infer.ts";
import type { Feeds } from "../../runtime/runtime.ts";
import { cutGraph, partedPairs, type Range } from "./cut.ts";
import { betweenBytes, type Execution } from "./execution.ts";
import { Extent } from "./extent.ts";
import { RuntimeShapes } from "./runtime-shapes.ts";
import { type Segment, segmentOf } from "./segment.ts";
import { splitWeights } from "./split-weights.ts";
import { type TableRows, tableRows } from "./table-rows.ts";
import { bytesOfTensor } from "./value-bytes.ts";
import { type WorkGraph, workGraph } from "./work-graph.ts";

/** A value that is read in a segment, other than by the segment's nodes. */
export interface LaterRead {
  readonly name: string;
  /** Place of the segment, not before the one that makes the value. */
  readonly segment: number;
}

/** Where a model is cut to be run on some feeds. */
export class SegmentPlan {
  readonly #model: Model;
  readonly #graph: WorkGraph;
  readonly #ranges: readonly Range[];
  /** Of each range, where it is a Gather that no budget holds. */
  readonly #rows: readonly (TableRows | null)[];

  private constructor(model: Model, graph: WorkGraph, ranges: readonly Range[], budget: number) {
    this.#model = model;
    this.#graph = graph;
    this.#ranges = ranges;
    this.#rows = ranges.map(({ from, to }) => {
      const node = graph.nodes[from];
      const extent = new Extent(graph, from, new Set());
      return to - from === 1 && node && extent.grow() > budget ? tableRows(model, node, graph) : null;
    });
  }

  /**
   * null where the model runs whole.
   * @param feeds what it is going to be run on, as far as that is known; else its open sizes are taken for 1
   */
  static async of(model: Model, feeds: readonly Feeds[], { memory }: Execution): Promise<SegmentPlan | null> {
    if (memory.whole === Number.POSITIVE_INFINITY) return null;
    const inputShapes = Object.fromEntries(
      Object.entries(largest(feeds)).map(([name, { dims }]) => [name, dims]),
    );
    const graphOf = async (one: Model) => workGraph(one, await inferShapes(one, { inputShapes }));
    const outputs = new Set(outputsOf(model));
    const given = await graphOf(model);
    const extent = new Extent(given, 0, outputs);
    for (let taken = 0; taken < given.nodes.length; taken++) extent.grow();
    if (extent.bytesAsFile <= memory.whole) return null;
    const budget = memory.segments - betweenBytes(memory);
    const parts = { ...model, graph: splitWeights(named(model.graph), budget, freshNames(model)) };
    const graph = await graphOf(parts);
    return new SegmentPlan(parts, graph, cutGraph(graph, outputs, budget), budget);
  }

  get count(): number {
    return this.#ranges.length;
  }

  /** Pairs of nodes that the runtime computes together in the whole model, it may be, and here does not. */
  get parted(): number {
    return partedPairs(this.#graph, this.#ranges);
  }

  /**
   * The first segment that can show a value: the one that makes it, or the next where that is not run by the runtime; 0
   * for what is fed. A value inside branches belongs to the node that has them.
   * @param path as walkGraphs gives it
   */
  segmentOf(path: readonly string[], name: string): number {
    const { nodes, values } = this.#graph;
    const place =
      path.length === 0
        ? (values.get(name)?.producer ?? -1)
        : nodes.findIndex(({ node }) => node.name === path[0] && subgraphsOf(node).length > 0);
    const made = Math.max(
      0,
      this.#ranges.findLastIndex(({ from }) => from <= place),
    );
    return this.#rows[made] ? Math.min(made + 1, this.#ranges.length - 1) : made;
  }

  /**
   * @param outputs names that the segments are to give together
   * @param later what is read beside that
   */
  async segments(outputs: readonly string[], later: readonly LaterRead[] = []): Promise<Segment[]> {
    const parts = {
      model: this.#model,
      graph: this.#graph,
      shapes: new RuntimeShapes(this.#model.graph, await inferShapes(this.#model)),
    };
    const { nodes, values } = this.#graph;
    const last = this.#ranges.length - 1;
    return this.#ranges.map((range, segment) => {
      const isRead = (name: string) =>
        (values.get(name)!.consumers.at(-1) ?? 0) >= range.to ||
        outputs.includes(name) ||
        later.some((read) => read.name === name && read.segment > segment);
      const made = nodes.slice(range.from, range.to).flatMap(({ makes }) => makes.filter(isRead));
      const constants = segment === last ? outputs.filter((name) => !values.has(name)) : [];
      const reads = later.filter((read) => read.segment === segment).map(({ name }) => name);
      return { ...segmentOf(parts, range, [...made, ...constants], reads), rows: this.#rows[segment]! };
    });
  }
}

/** Names of the outputs that a session gives: those that are tensors. */
export function outputsOf({ graph }: Model): string[] {
  return graph.outputs
    .filter(({ type }) => type === undefined || type.kind === "tensor")
    .map(({ name }) => name);
}

/** Nodes that hold graphs keep the name that paths call them by, wherever they will stand. */
function named(graph: Graph): Graph {
  const nodes = graph.nodes.map((node, index): Node => {
    const name = nodeLabel(node, index);
    return node.name === name || subgraphsOf(node).length === 0 ? node : { ...node, name };
  });
  return { ...graph, nodes };
}

function largest(feeds: readonly Feeds[]): Feeds {
  const bytes = (feed: Feeds) => Object.values(feed).reduce((sum, value) => sum + bytesOfTensor(value), 0);
  return feeds.reduce<Feeds>((most, feed) => (bytes(feed) > bytes(most) ? feed : most), {});
}
