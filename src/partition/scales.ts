import type { TypeIndex } from "./layout.ts";
import type { Cut, DeviceClass, Hierarchy } from "./tree.ts";

/**
 * How large each class's part of a tensor is after some levels of types. A tensor that types t ∈ `splits` divide
 * (a bit each) is multiplied by a side's share at every cut of such a type. Parts for all 3^h prefixes of a level are
 * one table, [prefix · classes + class], shared by all nodes with the same shares.
 */
export class Scales {
  readonly #levels: readonly (readonly DeviceClass[])[];
  /** By the shares' index, then at [splits · levels + level]. */
  #tables: (Float64Array | undefined)[][] = [];
  readonly #powers: readonly number[];
  readonly #buffers: [Float64Array, Float64Array];
  #room = ROOM;

  readonly #largest: number;

  /** @param distinct how many sets of shares there are: with many of them only small tables are worth keeping */
  constructor({ levels }: Hierarchy, distinct: number) {
    this.#largest = Math.min(LARGEST_TABLE, ROOM / (distinct * TABLES_A_SET));
    this.#levels = levels;
    this.#powers = levels.map((_, level) => 3 ** level);
    const widest = Math.max(...levels.map((level) => level.length));
    this.#buffers = [new Float64Array(widest), new Float64Array(widest)];
  }

  /** Where the last answer of `at` starts. */
  offset = 0;

  /** Parts of the classes of a level at [offset + class]; valid until the next call. */
  at(shares: Shares, splits: number, level: number, prefix: number): Float64Array {
    const classes = (this.#levels[level] as readonly DeviceClass[]).length;
    if ((this.#powers[level] as number) * classes <= this.#largest) {
      this.offset = prefix * classes;
      return this.table(shares, splits, level);
    }
    this.offset = 0;
    let [current, next] = this.#buffers;
    current[0] = 1;
    for (let h = 0; h < level; h++) {
      const type = (Math.floor(prefix / 3 ** (level - 1 - h)) % 3) as TypeIndex;
      this.#descend(shares, splits, h, type, current, 0, next, 0);
      [current, next] = [next, current];
    }
    return current;
  }

  /** The same for every prefix of a level. */
  table(shares: Shares, splits: number, level: number): Float64Array {
    if (level === 0) return WHOLE;
    const slot = splits * this.#levels.length + level;
    const known = this.#tables[shares.index]?.[slot];
    if (known) return known;
    const above = this.table(shares, splits, level - 1);
    const from = (this.#levels[level - 1] as readonly DeviceClass[]).length;
    const to = (this.#levels[level] as readonly DeviceClass[]).length;
    const prefixes = 3 ** (level - 1);
    const table = new Float64Array(prefixes * 3 * to);
    for (let prefix = 0; prefix < prefixes; prefix++) {
      for (let type = 0; type < 3; type++) {
        const at = (prefix * 3 + type) * to;
        this.#descend(shares, splits, level - 1, type as TypeIndex, above, prefix * from, table, at);
      }
    }
    if (table.length > this.#room) {
      this.#tables = [];
      this.#room = ROOM;
    }
    this.#room -= table.length;
    const own = this.#tables[shares.index] ?? [];
    own[slot] = table;
    this.#tables[shares.index] = own;
    return table;
  }

  #descend(
    shares: Shares,
    splits: number,
    level: number,
    type: TypeIndex,
    from: Float64Array,
    fromAt: number,
    to: Float64Array,
    toAt: number,
  ): void {
    const classes = this.#levels[level] as readonly DeviceClass[];
    const splitting = (splits & (1 << type)) !== 0;
    for (let c = 0; c < classes.length; c++) {
      const { cut, children } = classes[c] as DeviceClass;
      const part = from[fromAt + c] as number;
      if (!cut || !splitting) {
        to[toAt + children[0]] = part;
        to[toAt + children[1]] = part;
        continue;
      }
      const share = shareOf(shares, cut, type);
      to[toAt + children[1]] = part * (1 - share);
      to[toAt + children[0]] = part * share;
    }
  }
}

/** Share of side a at [cut · 3 + type]; equal values have equal indices. */
export interface Shares {
  readonly values: Float64Array;
  readonly index: number;
}

export function shareOf(shares: Shares, cut: Cut, type: TypeIndex): number {
  return shares.values[cut.id * 3 + type] as number;
}

const WHOLE = Float64Array.of(1);

/** Numbers in all tables together (32 MB), and in the largest one. */
const ROOM = 4_000_000;
const LARGEST_TABLE = 500_000;
/** Tables of the largest size that one set of shares needs: one for each way to be split. */
const TABLES_A_SET = 8;
