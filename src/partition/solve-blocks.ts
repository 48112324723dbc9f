import type { Costs } from "./cost.ts";
import type { Crossing } from "./crossing.ts";
import { type Block, SINK, SOURCE } from "./series-parallel.ts";
import { leastCode } from "./sweep.ts";

/** Steps of the inner loops, and numbers to keep, that an exact solution may take. */
export interface BlockLimits {
  readonly steps: number;
  readonly numbers: number;
}

/**
 * The best types of all nodes and levels at once for a series-parallel network, exactly. A series is crossed edge by
 * edge (dynamic programming). Where branches part and meet again, each code of the node where they part is
 * held in turn, so that every branch starts from one code; a code that cannot be part of anything
 * better than `best` is not tried. What is still to come is bounded from below by letting branches disagree about where they end.
 *
 * @param best cost of a plan that is known
 * @returns the best codes; "nothing better" than `best`; or "too large", where it would take more than the limits allow
 */
export function solveBlocks(
  costs: Costs,
  crossing: Crossing,
  whole: Block,
  best: number,
  limits: BlockLimits,
): number[] | "nothing better" | "too large" {
  const solver = new BlockSolver(costs, crossing, best, limits);
  try {
    return solver.solve(whole) ?? "nothing better";
  } catch (error) {
    if (error instanceof OutOfSteps) return "too large";
    throw error;
  }
}

/** More steps than the limits allow. */
class OutOfSteps extends Error {}

/** What reaches the start of a block: costs by code, or one code alone, at no cost. */
type Start =
  | { readonly kind: "costs"; readonly costs: Float64Array }
  | { readonly kind: "code"; readonly code: number };

interface Solved {
  /** Least cost by the code at the block's end, which itself is not counted. */
  readonly cost: Float64Array;
  /** Gives the nodes inside their codes for a code at the end; answers the code at the start. */
  readonly settle: (end: number, codes: number[]) => number;
}

class BlockSolver {
  readonly #costs: Costs;
  readonly #crossing: Crossing;
  #steps: number;
  readonly #numbers: number;
  /** Costs by the code at the end, by block and by the code at its start: equal blocks are solved once. */
  readonly #rows = new Map<string, Map<number, Float64Array>>();
  readonly #bounds = new Map<string, Float64Array>();
  readonly #names = new Map<Block, string>();
  #room: number;
  readonly #best: number;
  /** For the blocks of the outermost series, by the code at their start: no plan costs less from there on. */
  readonly #ahead = new Map<Block, Float64Array>();

  constructor(costs: Costs, crossing: Crossing, best: number, { steps, numbers }: BlockLimits) {
    this.#costs = costs;
    this.#crossing = crossing;
    this.#best = best;
    this.#steps = steps;
    this.#numbers = numbers;
    this.#room = numbers;
  }

  solve(whole: Block): number[] | null {
    const codes = this.#costs.network.nodes.map(() => 0);
    if (this.#best < Number.POSITIVE_INFINITY) this.#lookAhead(whole, new Float64Array(1), true);
    const { cost, settle } = this.#block(whole, { kind: "costs", costs: new Float64Array(1) });
    if (!((cost[0] as number) < this.#best)) return null;
    settle(0, codes);
    return codes;
  }

  /** From costs by the code at a block's end to a lower bound by the code at its start. */
  #lookAhead(block: Block, end: Float64Array, outermost = false): Float64Array {
    if (block.kind === "arc") return this.#backOver(block, end);
    if (block.kind === "parallel") {
      // Only one branch carries what comes after; whichever gives the most is still a lower bound.
      const alone = block.branches.map((branch) => this.#alone(branch, end.length));
      const carrying = block.branches.map((branch) => this.#lookAhead(branch, end));
      return (alone[0] as Float64Array).map((_, code) => {
        const sum = alone.reduce((total, bound) => total + (bound[code] as number), 0);
        const gains = alone.map(
          (bound, b) => ((carrying[b] as Float64Array)[code] as number) - (bound[code] as number),
        );
        return Number.isFinite(sum) ? sum + Math.max(...gains) : sum;
      });
    }
    let at = end;
    for (let i = block.blocks.length - 1; i >= 0; i--) {
      const part = block.blocks[i] as Block;
      at = this.#lookAhead(part, at);
      if (outermost) this.#ahead.set(part, at);
      if (i === 0) break;
      const work = this.#costs.unaryTable(block.nodes[i - 1] as number);
      at = at.map((sum, code) => sum + (work[code] as number));
    }
    return at;
  }

  /** The lower bound of a block with nothing behind it, which equal blocks share. */
  #alone(block: Block, codes: number): Float64Array {
    const name = this.#name(block);
    const known = this.#bounds.get(name);
    if (known) return known;
    const bound = this.#lookAhead(block, new Float64Array(codes));
    this.#bounds.set(name, bound);
    return bound;
  }

  #backOver({ from, to, edges }: Block & { kind: "arc" }, end: Float64Array): Float64Array {
    if (from === SOURCE) return Float64Array.of(end[leastCode(end)] as number);
    if (to === SINK) return new Float64Array(this.#costs.codes).fill(end[0] as number);
    this.#take(3 * this.#costs.depth * this.#costs.codes);
    return this.#crossing.back(edges, end);
  }

  #block(block: Block, start: Start): Solved {
    if (block.kind === "series") return this.#series(block, start);
    if (block.kind === "arc") return this.#arc(block, start);
    return start.kind === "code" || block.from === SOURCE
      ? this.#together(block, start)
      : this.#parallel(block, start.costs);
  }

  #arc({ from, to, edges }: Block & { kind: "arc" }, start: Start): Solved {
    const { codes } = this.#costs;
    if (from === SOURCE) {
      const cost = new Float64Array(to === SINK ? 1 : codes);
      return { cost, settle: () => 0 };
    }
    if (to === SINK) {
      if (start.kind === "code") return { cost: new Float64Array(1), settle: () => start.code };
      const least = leastCode(start.costs);
      return { cost: start.costs.slice(least, least + 1), settle: () => least };
    }
    if (start.kind === "code") {
      const cost = new Float64Array(codes);
      this.#take(edges.length * codes);
      for (const edge of edges) this.#crossing.addFrom(edge, start.code, cost);
      return { cost, settle: () => start.code };
    }
    this.#take(3 * this.#costs.depth * codes);
    const { cost, producer } = this.#crossing.all(edges, start.costs);
    return { cost, settle: producer };
  }

  #series({ blocks, nodes }: Block & { kind: "series" }, start: Start): Solved {
    const settles: Solved["settle"][] = [];
    let cost: Float64Array = new Float64Array();
    let at = start;
    for (const [i, block] of blocks.entries()) {
      const part = this.#block(block, at);
      settles.push(part.settle);
      const node = nodes[i];
      if (node === undefined) {
        cost = part.cost;
        break;
      }
      const work = this.#costs.unaryTable(node);
      at = { kind: "costs", costs: part.cost.map((sum, code) => sum + (work[code] as number)) };
    }
    return {
      cost,
      settle(end, codes) {
        let code = end;
        for (let i = settles.length - 1; i >= 0; i--) {
          code = (settles[i] as Solved["settle"])(code, codes);
          if (i > 0) codes[nodes[i - 1] as number] = code;
        }
        return code;
      },
    };
  }

  /** Branches that all start from one code add up. */
  #together({ branches }: Block & { kind: "parallel" }, start: Start): Solved {
    const [first, ...others] = branches.map((branch) => this.#block(branch, start)) as [Solved, ...Solved[]];
    const cost = first.cost.slice();
    for (const other of others) {
      for (const [code, more] of other.cost.entries()) cost[code] = (cost[code] as number) + more;
    }
    return {
      cost,
      settle(end, codes) {
        for (const other of others) other.settle(end, codes);
        return first.settle(end, codes);
      },
    };
  }

  #parallel(block: Block & { kind: "parallel" }, start: Float64Array): Solved {
    const possible = this.#possible(block.to);
    const cost = new Float64Array(possible.length).fill(Number.POSITIVE_INFINITY);
    const behind = new Int32Array(possible.length);
    const cheapest = Array.from(start.keys()).sort(
      (a, b) => (start[a] as number) - (start[b] as number) || a - b,
    );
    const ahead = this.#ahead.get(block);
    let worst = Number.POSITIVE_INFINITY;
    for (const code of cheapest) {
      const before = start[code] as number;
      if (before >= worst || before === Number.POSITIVE_INFINITY) break;
      if (ahead && before + (ahead[code] as number) >= this.#best) continue;
      const row = this.#row(block, code);
      worst = 0;
      for (let end = 0; end < row.length; end++) {
        const sum = before + (row[end] as number);
        if (sum < (cost[end] as number)) {
          cost[end] = sum;
          behind[end] = code;
        }
        if (possible[end]) worst = Math.max(worst, cost[end] as number);
      }
    }
    return {
      cost,
      settle: (end, codes) => {
        const code = behind[end] as number;
        this.#together(block, { kind: "code", code }).settle(end, codes);
        return code;
      },
    };
  }

  #row(block: Block & { kind: "parallel" }, code: number): Float64Array {
    const name = this.#name(block);
    const rows = this.#rows.get(name) ?? new Map<number, Float64Array>();
    const known = rows.get(code);
    if (known) return known;
    const row = this.#together(block, { kind: "code", code }).cost;
    if (row.length > this.#room) {
      this.#rows.clear();
      rows.clear();
      this.#room = this.#numbers;
    }
    this.#room -= row.length;
    rows.set(code, row);
    this.#rows.set(name, rows);
    return row;
  }

  /** Which codes the node at a block's end can have. */
  #possible(end: number): boolean[] {
    if (end === SINK) return [true];
    return Array.from(this.#costs.unaryTable(end), (cost) => cost < Number.POSITIVE_INFINITY);
  }

  /** Equal for blocks that cost the same. */
  #name(block: Block): string {
    const known = this.#names.get(block);
    if (known !== undefined) return known;
    const { edgeKinds, nodeKinds } = this.#costs;
    const end = block.to === SINK ? ">" : "";
    let name: string;
    if (block.kind === "arc") name = `${block.edges.map((e) => edgeKinds[e]).join("+")}${end}`;
    else if (block.kind === "parallel") name = `(${block.branches.map((b) => this.#name(b)).join("|")})`;
    else {
      const parts = block.blocks.map((b, i) => `${this.#name(b)}[${nodeKinds[block.nodes[i] ?? -1] ?? ""}]`);
      name = parts.join("");
    }
    this.#names.set(block, name);
    return name;
  }

  #take(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) throw new OutOfSteps();
  }
}
