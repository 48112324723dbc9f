import type { Mode } from "../../schemas/plan.ts";
import { type Facts, factsOf, scale, slowestDevice, wholeParts } from "./facts.ts";
import type { Network, NetworkNode } from "./graph.ts";
import { received, type TypeIndex } from "./layout.ts";
import { keptBytes } from "./memory.ts";
import { sharesOf, together } from "./shares.ts";
import type { DeviceClass, Hierarchy } from "./tree.ts";

/**
 * The cost model. A plan gives each node a *code*: its types level by level, outermost first, as digits of a
 * number in base 3. The cost of a plan is the sum over nodes of `unary` and over edges of `edge`:
 *
 * - `time`, seconds: a step is a sequence of phases, each as long as its slowest device or cut: per layer the
 *   roofline of compute and memory, and per level the exchange of partial sums and the change of layout on each
 *   edge, bytes / bandwidth + latency.
 * - `elements`: AccPar's public counting, what one side of each cut receives; level h counts once per cut, so 2^h times.
 * - `bytes`: what all devices receive, both sides of each cut.
 *
 * A tensor at level h is as large as the cuts above have left it: F_l, W_l and F_{l+1} shrink by the types that
 * split them, and a tensor between two layers shrinks with the consumer's types (it is that layer's input).
 */
export interface Costs {
  readonly network: Network;
  readonly hierarchy: Hierarchy;
  readonly depth: number;
  /** 3^depth, the number of codes. */
  readonly codes: number;
  unary(node: number, code: number): number;
  edge(edge: number, from: number, to: number): number;
  /** What one level adds for a node: its exchange, and the work as if the levels below split it perfectly. */
  levelUnary(node: number, level: number, prefix: number, type: TypeIndex): number;
  /** What one level adds for an edge; `prefix` is the consumer's code above the level. */
  levelEdge(edge: number, level: number, prefix: number, from: TypeIndex, to: TypeIndex): number;
  /** `unary` for every code. */
  unaryTable(node: number): Float64Array;
  /** `levelEdge` for every prefix and pair, at [(prefix·3 + from)·3 + to]. */
  edgeTable(edge: number, level: number): Float64Array;
  /** Per class of single devices, the node's parts of its three dimensions, at [class·3 + type]. */
  parts(node: number, code: number): Float64Array;
}

export type Measure = "time" | "elements" | "bytes";

export interface CostOptions {
  readonly mode: Mode;
  readonly measure: Measure;
  /** Unequal shares that balance both sides, or shares by the number of devices. */
  readonly shares: "solved" | "equal";
  /** AccPar counts E_l of the first layer too; Hone knows that nobody asks for it. */
  readonly countsInputError: boolean;
  /**
   * Seconds charged for filling the fullest device's memory once over, so that a search under this price avoids
   * plans that do not fit. 0 for real costs.
   */
  readonly memoryPrice?: number;
}

/** Floats that tables may take before they are computed anew each time: 32 MB. */
const TABLE_BUDGET = 4_000_000;

export function costsOf(network: Network, hierarchy: Hierarchy, options: CostOptions): Costs {
  const { nodes, edges } = network;
  const { depth, levels } = hierarchy;
  const { mode, measure } = options;
  const training = mode === "training";
  const powers = Array.from({ length: depth + 1 }, (_, h) => 3 ** h);
  const codes = powers[depth] as number;
  const widest = Math.max(...levels.map((level) => level.length));
  const buffers = Array.from({ length: depth + 1 }, () => new Float64Array(widest * 3));
  const signatures = nodes.map(signatureOf);
  const shares = bySignature(nodes, signatures, (node) => sharesOf(node, hierarchy, mode, options.shares));
  const facts = bySignature(nodes, signatures, (node) => factsOf(node, hierarchy, mode));
  const whole = new Float64Array(3);
  const memoryPrice = options.memoryPrice ?? 0;
  const memoryLimits = (levels[depth] as readonly DeviceClass[]).map((device) =>
    memoryLimit(device, hierarchy),
  );
  const tables = new Map<string, Float64Array>();
  let budget = TABLE_BUDGET;
  const cached = (key: string, build: () => Float64Array): Float64Array => {
    const known = tables.get(key);
    if (known) return known;
    const table = build();
    if (budget >= table.length) {
      budget -= table.length;
      tables.set(key, table);
    }
    return table;
  };

  const digit = (code: number, level: number) =>
    (Math.floor(code / (powers[depth - 1 - level] as number)) % 3) as TypeIndex;

  /** Parts of the three dimensions after one more cut. */
  function descend(v: number, level: number, type: TypeIndex, from: Float64Array, to: Float64Array): void {
    const nodeShares = shares[v] as Float64Array;
    const classes = levels[level] as readonly DeviceClass[];
    for (let c = 0; c < classes.length; c++) {
      const { cut, children } = classes[c] as DeviceClass;
      for (let side = 0; side < 2; side++) {
        const at = (children[side as 0 | 1] as number) * 3;
        for (let k = 0; k < 3; k++) to[at + k] = from[c * 3 + k] as number;
        if (cut) {
          const share = nodeShares[cut.id * 3 + type] as number;
          to[at + type] = (to[at + type] as number) * (side === 0 ? share : 1 - share);
        }
        if (children[0] === children[1]) break;
      }
    }
  }

  function partsAt(v: number, prefix: number, level: number): Float64Array {
    const first = buffers[0] as Float64Array;
    first.fill(1, 0, 3);
    for (let h = 0; h < level; h++) {
      const type = (Math.floor(prefix / (powers[level - 1 - h] as number)) % 3) as TypeIndex;
      descend(v, h, type, buffers[h] as Float64Array, buffers[h + 1] as Float64Array);
    }
    return buffers[level] as Float64Array;
  }

  /** Joins what the classes of one phase cost: the slowest, or the sum. */
  const join = (total: number, cost: number, multiplicity: number) =>
    measure === "time" ? Math.max(total, cost) : total + multiplicity * cost;

  /** One exchange over one cut, of which the sides receive a and b elements. */
  function exchange(a: number, b: number, elementBytes: number, { cut }: DeviceClass): number {
    if (measure === "elements") return (a + b) / 2;
    if (measure === "bytes") return (a + b) * elementBytes;
    const larger = Math.max(a, b);
    if (!cut || larger <= 0) return 0;
    return (larger * elementBytes) / cut.bandwidth + cut.latency;
  }

  /** Partial sums that cross the cuts of a level. */
  function sums(v: number, level: number, type: TypeIndex, parts: Float64Array): number {
    const node = nodes[v] as NetworkNode;
    const way = node.ways[type];
    if (way === null) return Number.POSITIVE_INFINITY;
    const { splits } = facts[v] as Facts;
    const classes = levels[level] as readonly DeviceClass[];
    const backward =
      training && way.backwardSum === "input" && (node.passesError || options.countsInputError);
    let forwardCost = 0;
    let backwardCost = 0;
    let gradientCost = 0;
    for (let c = 0; c < classes.length; c++) {
      const current = classes[c] as DeviceClass;
      if (!current.cut) continue;
      const { multiplicity } = current;
      if (way.forwardSum === "output") {
        const size = node.output * scale(splits.output, parts, c * 3);
        forwardCost = join(forwardCost, exchange(size, size, node.elementBytes, current), multiplicity);
      }
      if (backward) {
        const size = node.input * scale(splits.input, parts, c * 3);
        backwardCost = join(backwardCost, exchange(size, size, node.elementBytes, current), multiplicity);
      }
      if (training && way.gradientSum === "weights") {
        const size = node.weights * scale(splits.weights, parts, c * 3);
        gradientCost = join(gradientCost, exchange(size, size, weightWidth(node), current), multiplicity);
      }
    }
    return forwardCost + backwardCost + gradientCost;
  }

  /** Changes of layout on an edge that cross the cuts of a level: F forwards, E backwards. */
  function changes(e: number, level: number, s: TypeIndex, t: TypeIndex, parts: Float64Array): number {
    const { from, to, elements } = edges[e] as Network["edges"][number];
    const producer = nodes[from] as NetworkNode;
    const consumer = nodes[to] as NetworkNode;
    const out = producer.ways[s];
    const into = consumer.ways[t];
    if (out === null || into === null) return Number.POSITIVE_INFINITY;
    const { splits } = facts[to] as Facts;
    const classes = levels[level] as readonly DeviceClass[];
    let forwardCost = 0;
    let backwardCost = 0;
    for (let c = 0; c < classes.length; c++) {
      const current = classes[c] as DeviceClass;
      const { cut, multiplicity } = current;
      if (!cut) continue;
      const size = elements * scale(splits.input, parts, c * 3);
      const held = (shares[from] as Float64Array)[cut.id * 3 + s] as number;
      const needed = (shares[to] as Float64Array)[cut.id * 3 + t] as number;
      const f = received(out.output, into.input, held, needed);
      forwardCost = join(
        forwardCost,
        exchange(f[0] * size, f[1] * size, consumer.elementBytes, current),
        multiplicity,
      );
      if (!training) continue;
      const g = received(into.input, out.output, needed, held);
      backwardCost = join(
        backwardCost,
        exchange(g[0] * size, g[1] * size, consumer.elementBytes, current),
        multiplicity,
      );
    }
    return forwardCost + backwardCost;
  }

  /** The slowest device's roofline; shares are rounded up to whole samples and channels. */
  function work(v: number, parts: Float64Array): number {
    if (measure !== "time") return 0;
    const own = facts[v] as Facts;
    const slowest = slowestDevice(own, parts, whole);
    if (memoryPrice === 0) return slowest;
    let fullest = 0;
    for (const [c, limit] of memoryLimits.entries()) {
      wholeParts(own, parts, c, whole);
      fullest = Math.max(fullest, keptBytes(nodes[v] as NetworkNode, own, mode, whole) / limit);
    }
    return slowest + memoryPrice * fullest;
  }

  function perfectWork(v: number, level: number, type: TypeIndex, parts: Float64Array): number {
    if (measure !== "time") return 0;
    const node = nodes[v] as NetworkNode;
    const next = buffers[level + 1] as Float64Array;
    descend(v, level, type, parts, next);
    let slowest = 0;
    const classes = levels[level + 1] as readonly DeviceClass[];
    for (let c = 0; c < classes.length; c++) {
      const side = together((classes[c] as DeviceClass).devices, hierarchy, node);
      const { flops, splits } = facts[v] as Facts;
      slowest = Math.max(slowest, (flops * scale(splits.work, next, c * 3)) / side.flops);
    }
    return slowest;
  }

  const costs: Costs = {
    network,
    hierarchy,
    depth,
    codes,
    unary(v, code) {
      const table = tables.get(`u${signatures[v]}`);
      if (table) return table[code] as number;
      let total = 0;
      const first = buffers[0] as Float64Array;
      first.fill(1, 0, 3);
      for (let h = 0; h < depth; h++) {
        const type = digit(code, h);
        total += sums(v, h, type, buffers[h] as Float64Array);
        descend(v, h, type, buffers[h] as Float64Array, buffers[h + 1] as Float64Array);
      }
      return total + work(v, buffers[depth] as Float64Array);
    },
    edge(e, from, to) {
      let total = 0;
      for (let h = 0; h < depth; h++) {
        const prefix = Math.floor(to / (powers[depth - h] as number));
        total += costs.levelEdge(e, h, prefix, digit(from, h), digit(to, h));
      }
      return total;
    },
    levelUnary(v, level, prefix, type) {
      const parts = partsAt(v, prefix, level);
      return sums(v, level, type, parts) + perfectWork(v, level, type, parts);
    },
    levelEdge(e, level, prefix, s, t) {
      const table = tables.get(edgeKey(e, level));
      if (table) return table[(prefix * 3 + s) * 3 + t] as number;
      return changes(e, level, s, t, partsAt((edges[e] as { to: number }).to, prefix, level));
    },
    unaryTable(v) {
      return cached(`u${signatures[v]}`, () => {
        const table = new Float64Array(codes);
        (buffers[0] as Float64Array).fill(1, 0, 3);
        const visit = (h: number, prefix: number, above: number): void => {
          const parts = buffers[h] as Float64Array;
          if (h === depth) {
            table[prefix] = above + work(v, parts);
            return;
          }
          for (let t = 0; t < 3; t++) {
            const own = sums(v, h, t as TypeIndex, parts);
            descend(v, h, t as TypeIndex, parts, buffers[h + 1] as Float64Array);
            visit(h + 1, prefix * 3 + t, above + own);
          }
        };
        visit(0, 0, 0);
        return table;
      });
    },
    edgeTable(e, level) {
      return cached(edgeKey(e, level), () => {
        const { to } = edges[e] as Network["edges"][number];
        const table = new Float64Array((powers[level] as number) * 9);
        (buffers[0] as Float64Array).fill(1, 0, 3);
        const visit = (h: number, prefix: number): void => {
          const parts = buffers[h] as Float64Array;
          if (h === level) {
            for (let pair = 0; pair < 9; pair++) {
              const s = Math.floor(pair / 3) as TypeIndex;
              table[prefix * 9 + pair] = changes(e, level, s, (pair % 3) as TypeIndex, parts);
            }
            return;
          }
          for (let t = 0; t < 3; t++) {
            descend(to, h, t as TypeIndex, parts, buffers[h + 1] as Float64Array);
            visit(h + 1, prefix * 3 + t);
          }
        };
        visit(0, 0);
        return table;
      });
    },
    parts(v, code) {
      return partsAt(v, code, depth).slice(0, (levels[depth] as readonly DeviceClass[]).length * 3);
    },
  };
  const edgeKeys = edges.map(({ from, to, elements }) => `${signatures[from]}>${signatures[to]}*${elements}`);
  function edgeKey(e: number, level: number): string {
    return `${level}:${edgeKeys[e]}`;
  }
  return costs;
}

/** Bytes of one device of a class. */
export function memoryLimit(device: DeviceClass, hierarchy: Hierarchy): number {
  const group = device.devices[0]?.group ?? 0;
  return (hierarchy.groups[group] as Hierarchy["groups"][number]).accelerator.memory_bytes;
}

function weightWidth(node: NetworkNode): number {
  return node.weights > 0 ? node.weightBytes / node.weights : 0;
}

function bySignature<T>(
  nodes: readonly NetworkNode[],
  signatures: readonly string[],
  build: (node: NetworkNode) => T,
): T[] {
  const known = new Map<string, T>();
  return nodes.map((node, v) => {
    const signature = signatures[v] as string;
    const value = known.get(signature) ?? build(node);
    known.set(signature, value);
    return value;
  });
}

/** Nodes of one signature cost the same everywhere. */
function signatureOf(node: NetworkNode): string {
  const { forward, backward, gradient } = node.flops;
  const ways = node.ways.map((way) =>
    way === null
      ? "-"
      : [
          way.input,
          way.output,
          +way.splitsWork,
          +way.splitsInput,
          +way.splitsOutput,
          +way.splitsWeights,
          way.forwardSum,
          way.backwardSum,
          way.gradientSum,
        ].join(""),
  );
  return [
    ...node.units,
    node.input,
    node.output,
    node.weights,
    forward,
    backward,
    gradient,
    node.elementBytes,
    node.weightBytes,
    node.precision,
    +node.passesError,
    ...ways,
  ].join("|");
}
