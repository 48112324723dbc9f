import type { Costs } from "./cost.ts";
import type { TypeIndex } from "./layout.ts";

/**
 * Crosses edges of a network for all codes at once. With L levels a layer has 3^L codes and trying all pairs of an edge
 * takes 9^L; but what an edge costs at level h depends only on the producer's type at h and the consumer's types
 * down to h. So an edge is crossed level by level, outermost first, each time replacing one digit of the producer's
 * code by the consumer's: L·3^(L+1) steps, and still exact.
 */
export class Crossing {
  readonly #costs: Costs;
  /** By kind of edge and level, at [edgeKind · depth + level]. */
  #tables: (Float64Array | undefined)[] = [];
  #room = ROOM;

  constructor(costs: Costs) {
    this.#costs = costs;
  }

  /**
   * Over parallel edges from one producer to one consumer.
   * @param cost by the producer's code
   * @returns the least cost by the consumer's code, and the producer's code behind it
   */
  all(edges: readonly number[], cost: Float64Array): Crossed {
    const { depth, codes } = this.#costs;
    const chosen: Uint8Array[] = [];
    let from = cost;
    for (let level = 0; level < depth; level++) {
      const to = new Float64Array(codes);
      chosen.push(crossLevel(this.#sum(edges, level), FORWARDS, from, to));
      from = to;
    }
    return {
      cost: from,
      producer(consumer) {
        let code = consumer;
        for (let level = depth - 1; level >= 0; level--) {
          const stride = 3 ** (depth - 1 - level);
          const digit = Math.floor(code / stride) % 3;
          code += (((chosen[level] as Uint8Array)[code] as number) - digit) * stride;
        }
        return code;
      },
    };
  }

  /** The other way, from costs by the consumer's code to the least by the producer's: innermost level first. */
  back(edges: readonly number[], cost: Float64Array): Float64Array {
    let from = cost;
    for (let level = this.#costs.depth - 1; level >= 0; level--) {
      const to = new Float64Array(from.length);
      crossLevel(this.#sum(edges, level), BACKWARDS, from, to);
      from = to;
    }
    return from;
  }

  /** Adds what an edge costs from a producer whose code is known, by the consumer's code. */
  addFrom(edge: number, producer: number, cost: Float64Array): void {
    const { depth } = this.#costs;
    for (let level = 0; level < depth; level++) {
      const table = this.#table(edge, level);
      const stride = 3 ** (depth - 1 - level);
      const s = Math.floor(producer / stride) % 3;
      let base = 0;
      for (let p = 0; p < 3 ** level; p++) {
        for (let t = 0; t < 3; t++) {
          const more = table[p * 9 + s * 3 + t] as number;
          for (const end = base + stride; base < end; base++) cost[base] = (cost[base] as number) + more;
        }
      }
    }
  }

  /** The same to a consumer whose code is known, by the producer's code. */
  addTo(edge: number, consumer: number, cost: Float64Array): void {
    const { depth } = this.#costs;
    for (let level = 0; level < depth; level++) {
      const table = this.#table(edge, level);
      const stride = 3 ** (depth - 1 - level);
      const prefix = Math.floor(consumer / (stride * 3));
      const t = Math.floor(consumer / stride) % 3;
      let base = 0;
      for (let p = 0; p < 3 ** level; p++) {
        for (let s = 0; s < 3; s++) {
          const more = table[prefix * 9 + s * 3 + t] as number;
          for (const end = base + stride; base < end; base++) cost[base] = (cost[base] as number) + more;
        }
      }
    }
  }

  #sum(edges: readonly number[], level: number): Float64Array {
    const [first, ...others] = edges.map((edge) => this.#table(edge, level)) as [
      Float64Array,
      ...Float64Array[],
    ];
    if (others.length === 0) return first;
    return first.map((cost, i) => others.reduce((sum, other) => sum + (other[i] as number), cost));
  }

  /** What an edge costs at a level, at [prefix · 9 + producer's type · 3 + consumer's type]. */
  #table(edge: number, level: number): Float64Array {
    const { depth, edgeKinds } = this.#costs;
    const slot = (edgeKinds[edge] as number) * depth + level;
    const known = this.#tables[slot];
    if (known) return known;
    const table = new Float64Array(3 ** level * 9);
    for (let i = 0, prefix = 0; i < table.length; prefix++) {
      for (let pair = 0; pair < 9; pair++, i++) {
        const [s, t] = [Math.floor(pair / 3) as TypeIndex, (pair % 3) as TypeIndex];
        table[i] = this.#costs.levelEdge(edge, level, prefix, s, t);
      }
    }
    if (table.length > this.#room) {
      this.#tables = [];
      this.#room = ROOM;
    }
    this.#room -= table.length;
    this.#tables[slot] = table;
    return table;
  }
}

export interface Crossed {
  readonly cost: Float64Array;
  producer(consumer: number): number;
}

/** Numbers in all tables together: 32 MB. */
const ROOM = 4_000_000;

/** Where a table has the types of the side that is reached, and of the side that is left. */
interface Direction {
  readonly reached: 1 | 3;
  readonly left: 1 | 3;
}
const FORWARDS: Direction = { reached: 1, left: 3 };
const BACKWARDS: Direction = { reached: 3, left: 1 };

/** Forwards to[p, t, r] = min over s of from[p, s, r] + table[p, s, t]. Answers which s gave each minimum. */
function crossLevel(
  table: Float64Array,
  { reached, left }: Direction,
  from: Float64Array,
  to: Float64Array,
): Uint8Array {
  const prefixes = table.length / 9;
  const stride = from.length / (prefixes * 3);
  const chosen = new Uint8Array(from.length);
  for (let p = 0; p < prefixes; p++) {
    const base = p * 3 * stride;
    for (let t = 0; t < 3; t++) {
      const at = p * 9 + t * reached;
      const c0 = table[at] as number;
      const c1 = table[at + left] as number;
      const c2 = table[at + 2 * left] as number;
      for (let r = 0; r < stride; r++) {
        let least = (from[base + r] as number) + c0;
        let s = 0;
        const one = (from[base + stride + r] as number) + c1;
        if (one < least) {
          least = one;
          s = 1;
        }
        const two = (from[base + 2 * stride + r] as number) + c2;
        if (two < least) {
          least = two;
          s = 2;
        }
        to[base + t * stride + r] = least;
        chosen[base + t * stride + r] = s;
      }
    }
  }
  return chosen;
}
