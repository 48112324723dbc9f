import { subgraphsOf, walkGraphs } from "../../onnx/edit.ts";
import type { Node } from "../../onnx/model.ts";
import type { NetworkNode } from "../graph.ts";
import type { TracedNetwork } from "../network.ts";
import { type Box, isEmpty, lengthOf, type Range, sameBox, wholeBox } from "./box.ts";
import type { FlatModel } from "./flat.ts";
import { layerPart } from "./layer-part.ts";
import { operatorPart, outputAxis } from "./operator-part.ts";
import { along, type DimsOf, type Part, unitsOf, wholePart } from "./part.ts";
import type { Portion, Work } from "./work.ts";

/** A part, and the samples that a device runs it for. */
export interface Placed {
  readonly samples: Range;
  readonly part: Part;
}

/** Says which device does what of a node. */
export class Placer {
  readonly #flat: FlatModel;
  readonly #work: Work;
  readonly #samples: number;
  readonly #home: ReadonlyMap<string, readonly (Box | null)[]>;
  readonly #planned = new Map<Node, NetworkNode>();
  readonly #dimsOf: DimsOf;
  readonly #seen = new Set<string>();
  /** Layers that run whole where the plan divides them. */
  readonly undivided = new Set<string>();

  /** @param home where values were made, filled as nodes are placed */
  constructor(
    flat: FlatModel,
    { network, origins }: TracedNetwork,
    work: Work,
    samples: number,
    home: ReadonlyMap<string, readonly (Box | null)[]>,
  ) {
    this.#flat = flat;
    this.#work = work;
    this.#samples = samples;
    this.#home = home;
    for (const [v, node] of origins.entries()) this.#planned.set(node, network.nodes[v] as NetworkNode);
    this.#dimsOf = (name) => flat.constants.get(name)?.dims ?? flat.values.get(name)?.dims ?? null;
  }

  /** Planned layers that no placed node stands for. */
  absent(): string[] {
    return [...this.#planned.values()].map(({ name }) => name).filter((name) => !this.#seen.has(name));
  }

  /** An entry a device; null for those with nothing to do. */
  place(node: Node): (Placed | null)[] {
    const planned = this.#plannedAs(node);
    if (!planned) return this.#following(node);
    this.#seen.add(planned.name);
    const portions = this.#work.portions.get(planned.name) as readonly Portion[];
    const parts = portions.map((portion) => this.#partOf(node, planned, portion));
    const divided = parts.every((part) => part !== null);
    if (!divided) this.undivided.add(planned.name);
    return portions.map((portion, device) => {
      const samples = unitsOf(portion.samples, this.#samples);
      const idle = [portion.input, portion.output].some(({ from, to }) => to <= from);
      const part = divided ? parts[device] : wholePart(node, this.#dimsOf);
      if (!part || lengthOf(samples) === 0 || (!divided && idle) || isIdle(part)) return null;
      return { samples, part };
    });
  }

  #plannedAs(node: Node): NetworkNode | undefined {
    const origin = this.#flat.origins.get(node) ?? node;
    return [origin, ...(this.#flat.twins.get(origin) ?? [])]
      .map((one) => this.#planned.get(one))
      .find((found) => found !== undefined);
  }

  #partOf(node: Node, planned: NetworkNode, portion: Portion): Part | null {
    if (isAll(portion.input) && isAll(portion.output)) return wholePart(node, this.#dimsOf);
    if (planned.kind !== "join") {
      const isConstant = (name: string) => this.#flat.constants.has(name);
      return layerPart({ node, dimsOf: this.#dimsOf, isConstant }, portion);
    }
    const dims = this.#dimsOf(node.outputs[0] ?? "");
    if (!dims) return null;
    const axis = dims.length >= 4 ? 1 : dims.length - 1;
    return operatorPart(node, this.#dimsOf, axis, unitsOf(portion.output, dims[axis] ?? 1));
  }

  /** What the plan does not name runs where its input is, on slices where it can. */
  #following(node: Node): (Placed | null)[] {
    this.#noteBodies(node);
    const lead = node.inputs.find((name) => this.#isSpread(name));
    const boxes = lead === undefined ? undefined : this.#home.get(lead);
    const whole = wholePart(node, this.#dimsOf);
    if (lead === undefined || !boxes) {
      const samples = { from: 0, to: this.#samples };
      return this.#work.devices.map(() => ({ samples, part: whole }));
    }
    const sliced = boxes.map((box) => (box ? this.#slicedAfter(node, lead, box.slice(1)) : whole));
    const keeps = sliced.every((part) => part !== null);
    return boxes.map((box, device) => {
      if (!box || isEmpty(box)) return null;
      return { samples: box[0] as Range, part: keeps ? (sliced[device] as Part) : whole };
    });
  }

  /** Layers inside a Loop or Scan run as often as its body does, on every device that runs it. */
  #noteBodies(node: Node): void {
    for (const { graph } of subgraphsOf(node).flatMap((body) => [...walkGraphs(body.graph)])) {
      for (const planned of graph.nodes.map((inner) => this.#plannedAs(inner))) {
        if (!planned) continue;
        this.#seen.add(planned.name);
        this.undivided.add(planned.name);
      }
    }
  }

  /** Whether some device has less than all of a value. */
  #isSpread(name: string): boolean {
    const full = [{ from: 0, to: this.#samples }, ...wholeBox(this.#flat.values.get(name)?.dims ?? [])];
    return this.#home.get(name)?.some((box) => box === null || !sameBox(box, full)) ?? false;
  }

  /** The node on the slices that a device has; null where it needs more than that. */
  #slicedAfter(node: Node, lead: string, box: Box): Part | null {
    const dims = this.#flat.values.get(lead)?.dims ?? [];
    const split = box.flatMap((range, axis) => (lengthOf(range) < (dims[axis] ?? 0) ? [axis] : []));
    if (split.length === 0) return wholePart(node, this.#dimsOf);
    const [axis = 0] = split;
    const to = split.length === 1 ? outputAxis(node, this.#dimsOf, lead, axis) : null;
    const part = to === null ? null : operatorPart(node, this.#dimsOf, to, box[axis] as Range);
    const read = part?.reads.find(({ name }) => name === lead);
    return read && sameBox(read.box, along(dims, axis, box[axis] as Range)) ? part : null;
  }
}

function isAll({ from, to }: { from: number; to: number }): boolean {
  return from === 0 && to === 1;
}

/** Whether a part has nothing to do. */
function isIdle(part: Part): boolean {
  return part.outputs.some(isEmpty) || part.reads.some(({ box }) => isEmpty(box));
}
