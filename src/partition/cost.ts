import type { Mode } from "../../schemas/plan.ts";
import { type Facts, factsOf, slowestDevice, wholeParts } from "./facts.ts";
import type { Network, NetworkEdge, NetworkNode } from "./graph.ts";
import { byKey, bySignature, kindsOf, signatureOf } from "./kinds.ts";
import { received, type TypeIndex } from "./layout.ts";
import { keptBytes } from "./memory.ts";
import { Scales, type Shares, shareOf } from "./scales.ts";
import { type SharePolicy, sharesOf, together } from "./shares.ts";
import type { Cut, DeviceClass, Hierarchy } from "./tree.ts";

/**
 * The cost model. A plan gives each node a *code*: its types level by level, outermost first, as digits of a
 * number in base 3. The cost of a plan is the sum over nodes of `unary` and over edges of `edge`:
 *
 * - `time`, seconds: a step is a sequence of phases, each as long as its slowest device or cut: per layer the
 *   roofline of compute and memory, and per level the exchange of partial sums and the change of layout on each
 *   edge, bytes / bandwidth + latency.
 * - `elements`: AccPar's public counting, what one side of each cut receives; level h counts once per cut, so 2^h times.
 * - `bytes`: what all devices receive, both sides of each cut.
 * - `joules`: what moving those bytes over the links takes.
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
  /** Numbers that nodes share if they cost the same, and edges. */
  readonly nodeKinds: readonly number[];
  readonly edgeKinds: readonly number[];
  unary(node: number, code: number): number;
  edge(edge: number, from: number, to: number): number;
  /** What one level adds for a node: its exchange, and the work as if the levels below split it perfectly. */
  levelUnary(node: number, level: number, prefix: number, type: TypeIndex): number;
  /** What one level adds for an edge; `prefix` is the consumer's code above the level. */
  levelEdge(edge: number, level: number, prefix: number, from: TypeIndex, to: TypeIndex): number;
  /** `unary` for every code. */
  unaryTable(node: number): Float64Array;
  /** Per class of single devices, the node's parts of its three dimensions, at [class·3 + type]. */
  parts(node: number, code: number): Float64Array;
  /** Seconds of a step that each class of devices sends and receives at, latencies not counted. Of `time` only. */
  moving(codes: readonly number[]): Float64Array;
}

export type Measure = "time" | "elements" | "bytes" | "joules";

export interface CostOptions {
  readonly mode: Mode;
  readonly measure: Measure;
  readonly shares: SharePolicy;
  /** AccPar counts E_l of the first layer too; Hone knows that nobody asks for it. */
  readonly countsInputError: boolean;
  /**
   * Seconds charged for filling the fullest device's memory once over, so that a search under this price avoids
   * plans that do not fit. 0 for real costs.
   */
  readonly memoryPrice?: number;
  /** Seconds charged for a joule that a link takes, so that a search for the least energy counts it. 0 for real time. */
  readonly linkPrice?: number;
  /**
   * For plans whose steps overlap, so that a link's latency passes while others are served: what a second of moving
   * counts for, beside a second of computing. Left out, steps follow one another.
   */
  readonly overlap?: number;
}

/** Numbers that tables of whole nodes may take before they are computed anew each time: 32 MB. */
const TABLE_ROOM = 4_000_000;

/** A partial sum or a change of layout: per cut what it costs at full size, and which types shrink it. */
interface Exchange {
  readonly splits: number;
  readonly costs: Float64Array;
  /** What every cut adds where of `costs` only the slowest counts. */
  readonly charges: Float64Array | null;
}

export function costsOf(network: Network, hierarchy: Hierarchy, options: CostOptions): Costs {
  const { nodes, edges } = network;
  const { depth, levels, cuts } = hierarchy;
  const { mode, measure } = options;
  const training = mode === "training";
  const powers = Array.from({ length: depth + 1 }, (_, h) => 3 ** h);
  const codes = powers[depth] as number;
  const devices = levels[depth] as readonly DeviceClass[];
  const signatures = nodes.map(signatureOf);
  const known = new Map<string, Shares>();
  const shareNode = sharesOf(nodes, hierarchy, mode, options.shares);
  const shares = bySignature(nodes, signatures, (node): Shares => {
    const values = shareNode(node);
    const own = known.get(values.join()) ?? { values, index: known.size };
    known.set(values.join(), own);
    return own;
  });
  const scales = new Scales(hierarchy, known.size);
  const facts = bySignature(nodes, signatures, (node) => factsOf(node, hierarchy, mode));
  const memoryPrice = options.memoryPrice ?? 0;
  const memoryLimits = devices.map((device) => memoryLimit(device, hierarchy));
  const multiplicities = new Float64Array(cuts.length);
  for (const { cut, multiplicity } of levels.flat()) if (cut) multiplicities[cut.id] = multiplicity;

  const { overlap } = options;
  const weight = overlap ?? 1;
  const linkPrice = measure === "time" ? (options.linkPrice ?? 0) : 0;

  /** What an exchange costs in which the sides of a cut receive a and b elements at full size. */
  function priced(cut: Cut, a: number, b: number, elementBytes: number): number {
    if (measure === "time") return (Math.max(a, b) * elementBytes) / cut.wires.bandwidth;
    const both = (multiplicities[cut.id] as number) * (a + b);
    if (measure === "elements") return both / 2;
    return both * elementBytes * (measure === "joules" ? cut.wires.joulesPerByte : 1);
  }

  /** @param sides elements that the sides of a cut receive at full size */
  function exchange(
    splits: number,
    elementBytes: number,
    sides: (cut: Cut) => readonly [number, number],
  ): Exchange {
    const costs = Float64Array.from(cuts, (cut) => priced(cut, ...sides(cut), elementBytes));
    if (linkPrice === 0) return { splits, costs, charges: null };
    const charges = Float64Array.from(cuts, (cut) => {
      const [a, b] = sides(cut);
      const bytes = (multiplicities[cut.id] as number) * (a + b) * elementBytes;
      return linkPrice * cut.wires.joulesPerByte * bytes;
    });
    return { splits, costs, charges };
  }

  const sumsOf = bySignature(nodes, signatures, (node, v): readonly (readonly Exchange[] | null)[] => {
    const { splits } = facts[v] as Facts;
    const sum = (size: number, elementBytes: number, mask: number): Exchange =>
      exchange(mask, elementBytes, () => [size, size]);
    return node.ways.map((way) => {
      if (way === null) return null;
      const sums: Exchange[] = [];
      if (way.forwardSum === "output") sums.push(sum(node.output, node.elementBytes, splits.output));
      if (!training) return sums;
      if (way.backwardSum === "input" && (node.passesError || options.countsInputError)) {
        sums.push(sum(node.input, node.elementBytes, splits.input));
      }
      if (way.gradientSum === "weights") sums.push(sum(node.weights, weightWidth(node), splits.weights));
      return sums;
    });
  });

  const nodeKinds = kindsOf(signatures);
  const edgeKeys = edges.map(({ from, to, elements }) => `${nodeKinds[from]}>${nodeKinds[to]}*${elements}`);
  /** Per edge and pair of types: F forwards and E backwards; null where a type is not possible. */
  const changesOf = byKey(edgeKeys, (e): readonly (readonly Exchange[] | null)[] => {
    const { from, to, elements } = edges[e] as NetworkEdge;
    const [producer, consumer] = [nodes[from] as NetworkNode, nodes[to] as NetworkNode];
    const splits = (facts[to] as Facts).splits.input;
    return PAIRS.map(([s, t]) => {
      const [out, into] = [producer.ways[s], consumer.ways[t]];
      if (out === null || into === null) return null;
      const held = (cut: Cut) => shareOf(shares[from] as Shares, cut, s);
      const needed = (cut: Cut) => shareOf(shares[to] as Shares, cut, t);
      const moved = (parts: (cut: Cut) => readonly [number, number]): Exchange =>
        exchange(splits, consumer.elementBytes, (cut) => {
          const [a, b] = parts(cut);
          return [a * elements, b * elements];
        });
      const forward = moved((cut) => received(out.output, into.input, held(cut), needed(cut)));
      if (!training) return [forward].filter(isSome);
      const backward = moved((cut) => received(into.input, out.output, needed(cut), held(cut)));
      return [forward, backward].filter(isSome);
    });
  });

  /** One exchange over the cuts of a level: as long as the slowest of them, or their sum. */
  function across({ splits, costs, charges }: Exchange, own: Shares, level: number, prefix: number): number {
    const table = scales.at(own, splits, level, prefix);
    const at = scales.offset;
    const classes = levels[level] as readonly DeviceClass[];
    let total = 0;
    let charged = 0;
    for (let c = 0; c < classes.length; c++) {
      const cut = (classes[c] as DeviceClass).cut;
      if (!cut) continue;
      const part = table[at + c] as number;
      const cost = (costs[cut.id] as number) * part;
      if (measure !== "time") total += cost;
      else if (cost > 0)
        total = Math.max(total, weight * cost + (overlap === undefined ? cut.wires.latency : 0));
      if (charges) charged += (charges[cut.id] as number) * part;
    }
    return total + charged;
  }

  function sums(v: number, level: number, prefix: number, type: TypeIndex): number {
    const exchanges = (sumsOf[v] as readonly (readonly Exchange[] | null)[])[type];
    if (!exchanges) return Number.POSITIVE_INFINITY;
    let total = 0;
    for (const exchange of exchanges) total += across(exchange, shares[v] as Shares, level, prefix);
    return total;
  }

  const parts = new Float64Array(devices.length * 3);
  const whole = new Float64Array(3);

  function partsOf(v: number, code: number): Float64Array {
    for (let t = 0; t < 3; t++) {
      const table = scales.at(shares[v] as Shares, 1 << t, depth, code);
      const at = scales.offset;
      for (let c = 0; c < devices.length; c++) parts[c * 3 + t] = table[at + c] as number;
    }
    return parts;
  }

  /** The slowest device's roofline; shares are rounded up to whole samples and channels. */
  function work(v: number, code: number): number {
    if (measure !== "time") return 0;
    const own = facts[v] as Facts;
    partsOf(v, code);
    const slowest = slowestDevice(own, parts, whole);
    if (memoryPrice === 0) return slowest;
    let fullest = 0;
    for (const [c, limit] of memoryLimits.entries()) {
      wholeParts(own, parts, c, whole);
      fullest = Math.max(fullest, keptBytes(nodes[v] as NetworkNode, own, mode, whole) / limit);
    }
    return slowest + memoryPrice * fullest;
  }

  const speeds = new Map<string, readonly Float64Array[]>();
  function perfectWork(v: number, level: number, code: number): number {
    if (measure !== "time") return 0;
    const node = nodes[v] as NetworkNode;
    const rate = `${node.precision}${node.semiStructured ?? ""}`;
    const speed = speeds.get(rate) ?? speedsOf(hierarchy, node);
    speeds.set(rate, speed);
    const { flops, splits } = facts[v] as Facts;
    const table = scales.at(shares[v] as Shares, splits.work, level + 1, code);
    const at = scales.offset;
    const next = speed[level + 1] as Float64Array;
    let slowest = 0;
    for (let c = 0; c < next.length; c++) {
      slowest = Math.max(slowest, (flops * (table[at + c] as number)) / (next[c] as number));
    }
    return slowest;
  }

  const tables = new Map<string, Float64Array>();
  let room = TABLE_ROOM;

  const costs: Costs = {
    network,
    hierarchy,
    depth,
    codes,
    nodeKinds,
    edgeKinds: kindsOf(edgeKeys),
    unary(v, code) {
      const table = tables.get(signatures[v] as string);
      if (table) return table[code] as number;
      let total = 0;
      for (let h = 0; h < depth; h++) {
        const below = powers[depth - 1 - h] as number;
        const type = (Math.floor(code / below) % 3) as TypeIndex;
        total += sums(v, h, Math.floor(code / (below * 3)), type);
      }
      return total + work(v, code);
    },
    edge(e, from, to) {
      let total = 0;
      for (let h = 0; h < depth; h++) {
        const below = powers[depth - 1 - h] as number;
        const s = (Math.floor(from / below) % 3) as TypeIndex;
        const t = (Math.floor(to / below) % 3) as TypeIndex;
        total += costs.levelEdge(e, h, Math.floor(to / (below * 3)), s, t);
      }
      return total;
    },
    levelUnary(v, level, prefix, type) {
      return sums(v, level, prefix, type) + perfectWork(v, level, prefix * 3 + type);
    },
    levelEdge(e, level, prefix, s, t) {
      const exchanges = (changesOf[e] as readonly (readonly Exchange[] | null)[])[s * 3 + t];
      if (!exchanges) return Number.POSITIVE_INFINITY;
      const own = shares[(edges[e] as NetworkEdge).to] as Shares;
      let total = 0;
      for (const exchange of exchanges) total += across(exchange, own, level, prefix);
      return total;
    },
    unaryTable(v) {
      const known = tables.get(signatures[v] as string);
      if (known) return known;
      let above: Float64Array = new Float64Array(1);
      for (let h = 0; h < depth; h++) {
        const next = new Float64Array(above.length * 3);
        for (let prefix = 0; prefix < above.length; prefix++) {
          for (let t = 0; t < 3; t++) {
            next[prefix * 3 + t] = (above[prefix] as number) + sums(v, h, prefix, t as TypeIndex);
          }
        }
        above = next;
      }
      for (let code = 0; code < codes; code++) {
        if (above[code] !== Number.POSITIVE_INFINITY) above[code] = (above[code] as number) + work(v, code);
      }
      if (room >= codes) {
        room -= codes;
        tables.set(signatures[v] as string, above);
      }
      return above;
    },
    parts: (v, code) => partsOf(v, code).slice(),
    moving(codes) {
      const waits = cuts.map(() => 0);
      const add = ({ splits, costs }: Exchange, own: Shares, level: number, prefix: number) => {
        const table = scales.at(own, splits, level, prefix);
        for (const [c, { cut }] of (levels[level] as readonly DeviceClass[]).entries()) {
          if (!cut) continue;
          const part = table[scales.offset + c] as number;
          waits[cut.id] = (waits[cut.id] as number) + (costs[cut.id] as number) * part;
        }
      };
      for (let level = 0; level < depth; level++) {
        const below = powers[depth - 1 - level] as number;
        const type = (code: number) => (Math.floor(code / below) % 3) as TypeIndex;
        const prefix = (code: number) => Math.floor(code / (below * 3));
        for (const [v, code] of codes.entries()) {
          const own = (sumsOf[v] as readonly (readonly Exchange[] | null)[])[type(code)] ?? [];
          for (const sum of own) add(sum, shares[v] as Shares, level, prefix(code));
        }
        for (const [e, { from, to }] of edges.entries()) {
          const pair = type(codes[from] as number) * 3 + type(codes[to] as number);
          const own = (changesOf[e] as readonly (readonly Exchange[] | null)[])[pair] ?? [];
          for (const change of own) add(change, shares[to] as Shares, level, prefix(codes[to] as number));
        }
      }
      return alongBranches(hierarchy, waits);
    },
  };
  return costs;
}

/** Whether anything is moved. */
function isSome({ costs }: Exchange): boolean {
  return costs.some((cost) => cost > 0);
}

/** Sums up what the cuts above each class of single devices have. */
function alongBranches({ levels, depth }: Hierarchy, waits: readonly number[]): Float64Array {
  let sums = Float64Array.of(0);
  for (let level = 0; level < depth; level++) {
    const next = new Float64Array((levels[level + 1] as readonly DeviceClass[]).length);
    for (const [c, { cut, children }] of (levels[level] as readonly DeviceClass[]).entries()) {
      for (const child of children) next[child] = (sums[c] as number) + (cut ? (waits[cut.id] as number) : 0);
    }
    sums = next;
  }
  return sums;
}

const PAIRS: readonly (readonly [TypeIndex, TypeIndex])[] = ([0, 1, 2] as const).flatMap((s) =>
  ([0, 1, 2] as const).map((t): readonly [TypeIndex, TypeIndex] => [s, t]),
);

/** FLOP/s of every class of every level for a node's precision. */
function speedsOf(hierarchy: Hierarchy, node: NetworkNode): Float64Array[] {
  return hierarchy.levels.map((level) =>
    Float64Array.from(level, ({ devices }) => together(devices, hierarchy, node).flops),
  );
}

/** Bytes of one device of a class. */
export function memoryLimit(device: DeviceClass, hierarchy: Hierarchy): number {
  const group = device.devices[0]?.group ?? 0;
  return (hierarchy.groups[group] as Hierarchy["groups"][number]).accelerator.memory_bytes;
}

function weightWidth(node: NetworkNode): number {
  return node.weights > 0 ? node.weightBytes / node.weights : 0;
}
