import type { WorkGraph } from "./work-graph.ts";

/**
 * Bytes that nodes in a row take when they are loaded and run as one model, while more of them are taken.
 *
 * The runtime holds weights twice, as they came and packed for multiplication, and while it loads them there is the copy
 * that they came in. During a run it holds what is fed, and of what nodes make everything that is still to be read.
 */
export class Extent {
  readonly #graph: WorkGraph;
  readonly #from: number;
  readonly #outputs: ReadonlySet<string>;
  readonly #constants = new Set<string>();
  readonly #inputs = new Set<string>();
  #weights = 0;
  #passing = 0;
  #fed = 0;
  #live = 0;
  #peak = 0;
  #to: number;

  /** @param outputs names that are read after the last node */
  constructor(graph: WorkGraph, from: number, outputs: ReadonlySet<string>) {
    this.#graph = graph;
    this.#from = from;
    this.#to = from;
    this.#outputs = outputs;
  }

  /** Takes one more node; answers the bytes of all of them. */
  grow(): number {
    const { nodes, values, constants } = this.#graph;
    const place = this.#to++;
    const { reads, makes, constants: needed, ownBytes } = nodes[place]!;
    this.#weights += ownBytes;
    for (const name of needed) {
      if (this.#constants.has(name)) continue;
      this.#constants.add(name);
      const { bytes, passes } = constants.get(name)!;
      if (passes) this.#passing += bytes;
      else this.#weights += bytes;
    }
    for (const name of reads) {
      const { producer, bytes } = values.get(name)!;
      if (producer >= this.#from || this.#inputs.has(name)) continue;
      this.#inputs.add(name);
      this.#fed += bytes;
    }
    for (const name of makes) this.#live += values.get(name)!.bytes;
    this.#peak = Math.max(this.#peak, this.#live);
    for (const name of new Set([...reads, ...makes])) {
      const { producer, consumers, bytes } = values.get(name)!;
      const isLast = (consumers.at(-1) ?? place) <= place && !this.#outputs.has(name);
      if (producer >= this.#from && isLast) this.#live -= bytes;
    }
    return this.bytes;
  }

  /** Of the nodes as a segment, weights beside the model. */
  get bytes(): number {
    return Math.max(3 * this.#weights, 2 * this.#weights + this.#activations);
  }

  /** Of the nodes as one file, weights inside: it lies in memory, is copied into the runtime, and parsed there. */
  get bytesAsFile(): number {
    return 4 * this.#weights + this.#activations;
  }

  get #activations(): number {
    return this.#fed + this.#peak + this.#passing;
  }
}
