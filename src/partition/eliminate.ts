/**
 * Exact minimisation of a sum of costs over single variables and pairs of variables, by eliminating one variable
 * after the other (bucket elimination; Dechter 1999). On chains it is dynamic programming, on graphs of forks and joins
 * the series-parallel reduction, and on any other graph it costs as much as the graph is wide.
 */
export interface PairCost {
  readonly a: number;
  readonly b: number;
  /** Cost at [value of a · sizes[b] + value of b]. */
  readonly table: Float64Array;
}

export interface Order {
  readonly sequence: readonly number[];
  /** Most variables that one elimination leaves tied to each other. */
  readonly width: number;
  /** Variables left out, because with them the width would pass the limit; hold them at a value. */
  readonly frozen: readonly number[];
}

/** Minimum-degree order; ties by index. Freezes the busiest variable where the width would pass `maxWidth`. */
export function eliminationOrder(
  count: number,
  pairs: readonly { readonly a: number; readonly b: number }[],
  maxWidth: number,
): Order {
  const neighbours = Array.from({ length: count }, () => new Set<number>());
  for (const { a, b } of pairs) {
    if (a === b) continue;
    neighbours[a]?.add(b);
    neighbours[b]?.add(a);
  }
  const left = new Set(Array.from({ length: count }, (_, v) => v));
  const degree = (v: number) => (neighbours[v] as Set<number>).size;
  const sequence: number[] = [];
  const frozen: number[] = [];
  let width = 0;
  while (left.size > 0) {
    let least = -1;
    let most = -1;
    for (const v of left) {
      if (least < 0 || degree(v) < degree(least)) least = v;
      if (most < 0 || degree(v) > degree(most)) most = v;
      if (degree(least) <= 1) break;
    }
    if (degree(least) > maxWidth) {
      frozen.push(most);
      left.delete(most);
      for (const u of neighbours[most] as Set<number>) neighbours[u]?.delete(most);
      continue;
    }
    const tied = [...(neighbours[least] as Set<number>)];
    width = Math.max(width, tied.length);
    for (const u of tied) {
      const set = neighbours[u] as Set<number>;
      set.delete(least);
      for (const w of tied) if (w !== u) set.add(w);
    }
    sequence.push(least);
    left.delete(least);
  }
  return { sequence, width, frozen };
}

interface Factor {
  readonly variables: readonly number[];
  /** Row-major over `variables`. */
  readonly table: Float64Array;
}

/**
 * The assignment of least cost. Among equal costs the lowest values win, so that the answer never depends on
 * anything but the figures. A variable that `order` freezes has to have a single value.
 */
export function minimise(
  unary: readonly Float64Array[],
  pairs: readonly PairCost[],
  order: readonly number[],
): number[] {
  const sizes = unary.map((table) => table.length);
  const buckets = unary.map((table, v): Set<Factor> => new Set([{ variables: [v], table }]));
  const add = (factor: Factor) => {
    for (const v of factor.variables) buckets[v]?.add(factor);
  };
  for (const { a, b, table } of pairs) add({ variables: [a, b], table });
  const decisions: { v: number; rest: readonly number[]; best: Uint16Array }[] = [];
  for (const v of order) {
    const factors = [...(buckets[v] as Set<Factor>)];
    const rest = [...new Set(factors.flatMap((factor) => factor.variables))].filter((u) => u !== v);
    const { table, best } = eliminate(v, rest, factors, sizes);
    decisions.push({ v, rest, best });
    for (const factor of factors) for (const u of factor.variables) buckets[u]?.delete(factor);
    if (rest.length > 0) add({ variables: rest, table });
  }
  const values = new Array<number>(unary.length).fill(0);
  for (const { v, rest, best } of decisions.reverse()) {
    let at = 0;
    for (const u of rest) at = at * (sizes[u] as number) + (values[u] as number);
    values[v] = best[at] as number;
  }
  return values;
}

/** Minimises one variable out: a table over the rest, and which value gave each minimum. */
function eliminate(
  v: number,
  rest: readonly number[],
  factors: readonly Factor[],
  sizes: readonly number[],
): { table: Float64Array; best: Uint16Array } {
  const length = rest.reduce((product, u) => product * (sizes[u] as number), 1);
  const table = new Float64Array(length);
  const best = new Uint16Array(length);
  const strides = factors.map((factor) => stridesOf(factor, sizes));
  const own = strides.map((stride) => stride.get(v) ?? 0);
  const steps = rest.map((u) => strides.map((stride) => stride.get(u) ?? 0));
  const offsets = new Array<number>(factors.length).fill(0);
  const counters = new Array<number>(rest.length).fill(0);
  const size = sizes[v] as number;
  for (let at = 0; at < length; at++) {
    let least = Number.POSITIVE_INFINITY;
    let choice = 0;
    for (let value = 0; value < size; value++) {
      let cost = 0;
      for (let f = 0; f < factors.length; f++) {
        cost += (factors[f] as Factor).table[(offsets[f] as number) + value * (own[f] as number)] as number;
      }
      if (cost < least) {
        least = cost;
        choice = value;
      }
    }
    table[at] = least;
    best[at] = choice;
    for (let r = rest.length - 1; r >= 0; r--) {
      const step = steps[r] as number[];
      const wrapped = (counters[r] as number) + 1 === sizes[rest[r] as number];
      const by = wrapped ? -(counters[r] as number) : 1;
      counters[r] = wrapped ? 0 : (counters[r] as number) + 1;
      for (let f = 0; f < factors.length; f++) offsets[f] = (offsets[f] as number) + by * (step[f] as number);
      if (!wrapped) break;
    }
  }
  return { table, best };
}

function stridesOf({ variables }: Factor, sizes: readonly number[]): Map<number, number> {
  const strides = new Map<number, number>();
  let stride = 1;
  for (let i = variables.length - 1; i >= 0; i--) {
    const v = variables[i] as number;
    strides.set(v, stride);
    stride *= sizes[v] as number;
  }
  return strides;
}
