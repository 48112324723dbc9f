import type { Dim, Graph } from "../model.ts";
import type { Element, Fact } from "./facts.ts";

/** Type and shape of a value. */
export interface ShapeInfo {
  /** DataType code; UNDEFINED (0) when not known. */
  readonly dataType: number;
  /** A size, a symbol of the model that nothing was bound to, or null. */
  readonly dims: readonly Dim[];
}

/** Something in the file that does not fit together. */
export interface ShapeWarning {
  /** Name of the node, else of its first output. */
  readonly node: string;
  readonly detail: string;
  /** Where it would fit if the input had a multiple of this many elements. */
  readonly multipleOf?: number;
}

/** One graph's values, and the graph around it. */
export interface ScopeFacts {
  readonly facts: ReadonlyMap<string, Fact>;
  readonly outer: Graph | null;
}

/** What shape inference found, for the model's graph and every subgraph that it reached. */
export class Shapes {
  readonly warnings: readonly ShapeWarning[];
  readonly #scopes: ReadonlyMap<Graph, ScopeFacts>;

  constructor(scopes: ReadonlyMap<Graph, ScopeFacts>, warnings: readonly ShapeWarning[]) {
    this.#scopes = scopes;
    this.warnings = warnings;
  }

  /** Type and shape of a value seen from `graph`; undefined when not even its rank is known, or it is no tensor. */
  of(graph: Graph, name: string): ShapeInfo | undefined {
    const fact = this.fact(graph, name);
    return fact?.kind === "tensor" && fact.dims ? { dataType: fact.dataType, dims: fact.dims } : undefined;
  }

  /**
   * Contents, row-major, of a small tensor that shape computations use (at most 4096 elements): numbers, symbols
   * (the size of that dimension) and null for what depends on data. undefined when they were not followed.
   */
  elementsOf(graph: Graph, name: string): readonly Element[] | undefined {
    const fact = this.fact(graph, name);
    return fact?.kind === "tensor" ? fact.elements : undefined;
  }

  /** Everything known of a value, sequences and optionals included. */
  fact(graph: Graph, name: string): Fact | undefined {
    for (let scope = this.#scopes.get(graph); scope; ) {
      const fact = scope.facts.get(name);
      if (fact || !scope.outer) return fact;
      scope = this.#scopes.get(scope.outer);
    }
    return undefined;
  }
}
