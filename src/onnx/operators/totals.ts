import { intsAttribute, subgraphsOf } from "../edit.ts";
import type { FunctionDefinition, Graph, Model, Node } from "../model.ts";
import { canonicalDomain } from "../shapes/registry.ts";
import type { Shapes } from "../shapes/shapes.ts";
import { hasMacs, nodeMacs } from "./macs.ts";
import { nodeShapes, plus, times } from "./node-shapes.ts";

/**
 * Multiply-accumulates of one run of the model. Of an If the costlier branch counts; a Loop or Scan counts its
 * body once for each iteration. null when a shape or a trip count that they need is not known.
 */
export function modelMacs(model: Model, shapes: Shapes): number | null {
  return new Totals(model, shapes).graph(model.graph);
}

class Totals {
  readonly #shapes: Shapes;
  readonly #functions: ReadonlyMap<string, FunctionDefinition>;

  constructor(model: Model, shapes: Shapes) {
    this.#shapes = shapes;
    this.#functions = new Map(
      model.functions.map((definition) => [keyOf(definition.domain, definition.name), definition]),
    );
  }

  graph(graph: Graph): number | null {
    let total: number | null = 0;
    for (const node of graph.nodes) total = plus(total, this.#node(graph, node));
    return total;
  }

  #node(graph: Graph, node: Node): number | null {
    const definition = this.#functions.get(keyOf(node.domain, node.opType));
    if (definition) return this.#calls(definition, new Set()) ? null : 0;
    const bodies = subgraphsOf(node).map((body) => this.graph(body.graph));
    if (bodies.length === 0) return nodeMacs(node, nodeShapes(this.#shapes, graph, node));
    if (node.opType === "If") {
      const known = bodies.filter((macs) => macs !== null);
      return known.length > 0 ? Math.max(...known) : null;
    }
    if (bodies.every((macs) => macs === 0)) return 0;
    return times(bodies[0] ?? null, this.#iterations(graph, node));
  }

  /** Iterations of a Loop (its trip count) or a Scan (the length of what it scans). */
  #iterations(graph: Graph, node: Node): number | null {
    if (node.opType === "Loop") {
      const trips = this.#shapes.elementsOf(graph, node.inputs[0] ?? "")?.[0];
      return typeof trips === "number" && trips >= 0 ? trips : null;
    }
    if (node.opType !== "Scan") return null;
    // Opset 8 has a batch axis in front; only the form of opset 9 is counted.
    const scanned = this.#shapes.of(graph, node.inputs.at(-1) ?? "")?.dims;
    const body = subgraphsOf(node)[0]?.graph;
    const slice = body && this.#shapes.of(body, body.inputs.at(-1)?.name ?? "")?.dims;
    if (!scanned || slice?.length !== scanned.length - 1) return null;
    const axis = intsAttribute(node, "scan_input_axes", undefined)?.at(-1) ?? 0;
    const length = scanned.at(axis);
    return typeof length === "number" ? length : null;
  }

  /** Whether a model-local function multiplies matrices anywhere: its body's shapes are not kept. */
  #calls(definition: FunctionDefinition, seen: Set<FunctionDefinition>): boolean {
    if (seen.has(definition)) return false;
    seen.add(definition);
    return definition.nodes.some((node) => {
      const inner = this.#functions.get(keyOf(node.domain, node.opType));
      return inner ? this.#calls(inner, seen) : hasMacs(node) || subgraphsOf(node).length > 0;
    });
  }
}

function keyOf(domain: string, name: string): string {
  return `${canonicalDomain(domain)}:${name}`;
}
