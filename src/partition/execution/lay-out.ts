import type { Node } from "../../onnx/model.ts";
import type { TracedNetwork } from "../network.ts";
import {
  type Box,
  boxText,
  contains,
  intersection,
  type Range,
  sameBox,
  sameRange,
  wholeBox,
  without,
} from "./box.ts";
import { ExecutionError } from "./errors.ts";
import type { FlatModel } from "./flat.ts";
import type { Part } from "./part.ts";
import { type Placed, Placer } from "./placer.ts";
import type { Collective, Piece, Program, Result, Shard, Slice, Stage } from "./program.ts";
import type { Work } from "./work.ts";

interface Draft {
  readonly collectives: Collective[];
  readonly nodes: { readonly node: Node; readonly parts: readonly (Placed | null)[] }[];
  /** Per device; null while it has nothing to do. */
  readonly samples: (Range | null)[];
  /** Boxes that devices make here, by value. */
  readonly made: Map<string, readonly (Box | null)[]>;
  readonly partial: Set<string>;
}

/**
 * Lays the plan's work out over the devices. A layer runs on slices as its types say; what follows it runs where the
 * layer's output lies, on slices where the operator allows that and on gathered tensors where not.
 *
 * @param samples how many samples the devices share out
 * @throws ExecutionError `not_held` where portions leave something out
 */
export function programOf(flat: FlatModel, traced: TracedNetwork, work: Work, samples: number): Program {
  return new Builder(flat, traced, work, samples).build();
}

class Builder {
  readonly #flat: FlatModel;
  readonly #work: Work;
  readonly #samples: number;
  readonly #placer: Placer;
  readonly #drafts: Draft[] = [];
  #draft: Draft;
  /** All that devices hold, by value. */
  readonly #held = new Map<string, Box[][]>();
  /** Where values were first. */
  readonly #home = new Map<string, readonly (Box | null)[]>();

  constructor(flat: FlatModel, traced: TracedNetwork, work: Work, samples: number) {
    this.#flat = flat;
    this.#work = work;
    this.#samples = samples;
    this.#placer = new Placer(flat, traced, work, samples, this.#home);
    this.#draft = this.#newDraft();
  }

  build(): Program {
    const { graph } = this.#flat.model;
    const devices = this.#work.devices.map((_, device) => device);
    for (const { name } of graph.inputs) {
      const whole = this.#wholeOf(name);
      this.#home.set(
        name,
        devices.map(() => whole),
      );
      this.#held.set(
        name,
        devices.map(() => [whole]),
      );
    }
    for (const node of graph.nodes) this.#add(node);
    this.#flush();
    const computed = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
    const outputs = [...new Set(graph.outputs.map(({ name }) => name))].filter((name) => computed.has(name));
    for (const name of outputs) this.#gather(name, [{ device: 0, box: this.#wholeOf(name) }]);
    if (this.#draft.collectives.length > 0) this.#drafts.push(this.#draft);
    return {
      devices: this.#work.devices,
      samples: this.#samples,
      stages: this.#stages(new Set(outputs)),
      outputs,
      undivided: [...this.#placer.undivided],
      absent: this.#placer.absent(),
    };
  }

  #newDraft(): Draft {
    const samples = this.#work.devices.map(() => null);
    return { collectives: [], nodes: [], samples, made: new Map(), partial: new Set() };
  }

  #wholeOf(name: string): Box {
    return [{ from: 0, to: this.#samples }, ...wholeBox(this.#flat.values.get(name)?.dims ?? [])];
  }

  #isValue(name: string): boolean {
    return this.#flat.values.has(name);
  }

  #add(node: Node): void {
    const parts = this.#placer.place(node);
    if (!this.#joins(parts)) this.#flush();
    const draft = this.#draft;
    draft.nodes.push({ node, parts });
    for (const [device, placed] of parts.entries()) if (placed) draft.samples[device] = placed.samples;
    for (const [i, name] of node.outputs.entries()) {
      if (name === "") continue;
      const boxes = parts.map((placed) => placed && [placed.samples, ...(placed.part.outputs[i] as Box)]);
      draft.made.set(name, boxes);
      this.#home.set(name, boxes);
      if (parts.some((placed) => placed?.part.partial)) draft.partial.add(name);
    }
  }

  /** Whether every device has in this stage what it reads of it. */
  #joins(parts: readonly (Placed | null)[]): boolean {
    const { samples, made, partial } = this.#draft;
    return parts.every((placed, device) => {
      if (!placed) return true;
      const own = samples[device];
      if (own && !sameRange(own, placed.samples)) return false;
      return placed.part.reads.every(({ name, box }) => {
        const boxes = made.get(name);
        if (!boxes) return true;
        const here = boxes[device];
        return !partial.has(name) && here && sameBox(here, [placed.samples, ...box]);
      });
    });
  }

  /** Ends the stage: what it reads is brought together before it, partial sums are added up after it. */
  #flush(): void {
    const draft = this.#draft;
    if (draft.nodes.length === 0) return;
    const needs = new Map<string, { device: number; box: Box }[]>();
    for (const { parts } of draft.nodes) {
      for (const [device, placed] of parts.entries()) {
        for (const { name, box } of placed?.part.reads ?? []) {
          if (!this.#isValue(name) || draft.made.has(name)) continue;
          const list = needs.get(name) ?? [];
          list.push({ device, box: [(placed as Placed).samples, ...box] });
          needs.set(name, list);
        }
      }
    }
    for (const [name, list] of needs) this.#gather(name, list);
    this.#drafts.push(draft);
    this.#draft = this.#newDraft();
    for (const [name, boxes] of draft.made) {
      if (draft.partial.has(name)) this.#sum(name, boxes);
      this.#held.set(
        name,
        boxes.map((box) => (box ? [box] : [])),
      );
    }
  }

  /** Brings to each device what it needs and does not hold. */
  #gather(value: string, needs: readonly { device: number; box: Box }[]): void {
    const held = this.#held.get(value) ?? [];
    const results: Result[] = [];
    for (const { device, box } of needs) {
      const own = held[device] as Box[];
      if (own.some((part) => contains(part, box))) continue;
      if (results.some((other) => other.device === device && sameBox(other.box, box))) continue;
      results.push({ device, box, pieces: this.#piecesFor(value, device, box, held) });
    }
    for (const { device, box } of results) held[device]?.push(box);
    if (results.length > 0) this.#draft.collectives.push({ kind: "gather", value, results });
  }

  /** Its own first, then of the others in order. */
  #piecesFor(value: string, device: number, box: Box, held: readonly (readonly Box[])[]): Piece[] {
    const pieces: Piece[] = [];
    let missing: Box[] = [box];
    const order = [device, ...held.keys()].filter((from, i) => i === 0 || from !== device);
    for (const from of order) {
      for (const part of held[from] ?? []) {
        if (missing.length === 0) return pieces;
        for (const open of missing) {
          const shared = intersection(open, part);
          if (shared) pieces.push({ from, box: shared });
        }
        missing = missing.flatMap((open) => without(open, part));
      }
    }
    if (missing.length > 0) {
      throw new ExecutionError(
        "not_held",
        `no device makes ${boxText(missing[0] as Box)} of "${value}": the shares of the layer before it leave a gap`,
      );
    }
    return pieces;
  }

  #sum(value: string, boxes: readonly (Box | null)[]): void {
    const results = boxes.flatMap((box, device) => {
      if (!box) return [];
      const pieces = boxes.flatMap((other, from) => {
        const shared = other && intersection(box, other);
        return shared ? [{ from, box: shared }] : [];
      });
      return [{ device, box, pieces }];
    });
    this.#draft.collectives.push({ kind: "sum", value, results });
  }

  #stages(outputs: ReadonlySet<string>): Stage[] {
    const wanted = new Set(outputs);
    const stages: Stage[] = [];
    for (const draft of [...this.#drafts].reverse()) {
      for (const { value } of draft.collectives) wanted.add(value);
      stages.push({ collectives: draft.collectives, shards: this.#shards(draft, wanted) });
      for (const { parts } of draft.nodes) {
        for (const placed of parts) for (const { name } of placed?.part.reads ?? []) wanted.add(name);
      }
    }
    return stages.reverse();
  }

  /** One graph for all devices that do the same. */
  #shards(draft: Draft, wanted: ReadonlySet<string>): Shard[] {
    const shards = new Map<string, Shard & { devices: { device: number; samples: Range }[] }>();
    for (const [device, samples] of draft.samples.entries()) {
      if (!samples) continue;
      const nodes = draft.nodes.flatMap(({ node, parts }) => {
        const placed = parts[device];
        return placed ? [{ node, part: placed.part }] : [];
      });
      // What nobody asks this device for is not worth running.
      const useful = leadingTo(nodes, wanted);
      if (useful.length === 0) continue;
      const key = useful.map(({ node, part }) => `${node.outputs[0]}=${partKey(part)}`).join("\n");
      const known = shards.get(key);
      if (known) {
        known.devices.push({ device, samples });
        continue;
      }
      shards.set(key, {
        devices: [{ device, samples }],
        nodes: useful,
        ...this.#ends(draft, useful, wanted),
      });
    }
    return [...shards.values()];
  }

  #ends(draft: Draft, nodes: Shard["nodes"], wanted: ReadonlySet<string>): Pick<Shard, "inputs" | "outputs"> {
    const inputs: Slice[] = [];
    const outputs: (Slice & { partial: boolean })[] = [];
    for (const { node, part } of nodes) {
      for (const { name, box } of part.reads) {
        if (!this.#isValue(name) || draft.made.has(name)) continue;
        if (!inputs.some((other) => other.value === name && sameBox(other.box, box))) {
          inputs.push({ value: name, box });
        }
      }
      for (const [i, name] of node.outputs.entries()) {
        if (wanted.has(name))
          outputs.push({ value: name, box: part.outputs[i] as Box, partial: draft.partial.has(name) });
      }
    }
    return { inputs, outputs };
  }
}

/** The nodes that make something that is wanted, and those that they read. */
function leadingTo(nodes: Shard["nodes"], wanted: ReadonlySet<string>): Shard["nodes"] {
  const needed = new Set(wanted);
  return [...nodes]
    .reverse()
    .filter(({ node, part }) => {
      if (!node.outputs.some((name) => needed.has(name))) return false;
      for (const { name } of part.reads) needed.add(name);
      return true;
    })
    .reverse();
}

function partKey({ reads, partial }: Part): string {
  return `${partial}${reads.map(({ name, box, zeroed }) => `${name}[${boxText(box)}${zeroed ?? ""}]`).join()}`;
}
