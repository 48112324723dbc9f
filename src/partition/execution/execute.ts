import type { ShardManifest } from "../../../schemas/shards.ts";
import type { TensorValue } from "../../onnx/tensor-value.ts";
import { modelBytes } from "../../onnx/write.ts";
import type { Feeds, Runtime, Session } from "../../runtime/runtime.ts";
import { type Box, contains, type Range, wholeBox } from "./box.ts";
import { ExecutionError } from "./errors.ts";
import type { Collective, ManifestShard, Shards } from "./manifest.ts";
import { cut, gathered, type HeldTensor, summed } from "./pieces.ts";

/** Something that a device now holds. */
export interface Boundary {
  readonly value: string;
  readonly device: number;
  readonly sample: number;
  /** Without the samples' axis; [] for a whole value whose size is not known beforehand. */
  readonly box: Box;
  readonly tensor: TensorValue;
}

/**
 * Runs shards on virtual devices: each has its own memory, and nothing passes between them but by the manifest's
 * collectives. One session at a time is loaded.
 *
 * @param feeds the model's inputs, one a sample
 * @param watch is told of everything that devices come to hold
 * @returns the model's outputs, one a sample
 * @throws ExecutionError `not_held` where a device lacks what it is to read; RuntimeLoadError, RuntimeRunError
 */
export async function execute(
  { manifest, model }: Shards,
  runtime: Runtime,
  feeds: readonly Feeds[],
  watch: (boundary: Boundary) => void,
): Promise<Feeds[]> {
  const memories = manifest.devices.map(() => new Memory());
  for (const memory of memories) {
    for (const [sample, feed] of feeds.slice(0, manifest.samples).entries()) {
      for (const { name } of manifest.inputs) {
        const tensor = feed[name];
        if (tensor) memory.hold(name, sample, { box: wholeBox(tensor.dims), tensor });
      }
    }
  }
  const lastReads = lastReadsOf(manifest);
  for (const [index, { collectives, shards }] of manifest.stages.entries()) {
    for (const collective of collectives) exchange(collective, memories, watch);
    for (const shard of shards) {
      const session = await runtime.load(await modelBytes(model(shard.file)), AS_WRITTEN);
      try {
        await runShard(shard, session, memories, watch);
      } finally {
        await session.release();
      }
    }
    for (const memory of memories) memory.forget((value) => (lastReads.get(value) ?? -1) <= index);
  }
  const first = memories[0] as Memory;
  return Array.from({ length: manifest.samples }, (_, sample) =>
    Object.fromEntries(manifest.outputs.map((name) => [name, first.whole(name, sample)])),
  );
}

/** Without fusions, as the runtime loses values that are asked for inside them, and with a small heap. */
export const AS_WRITTEN = { optimization: "none", memory: "lean" } as const;

/** What one device holds, by value and sample. */
class Memory {
  readonly #values = new Map<string, Map<number, HeldTensor[]>>();

  hold(value: string, sample: number, held: HeldTensor): void {
    const samples = this.#values.get(value) ?? new Map<number, HeldTensor[]>();
    this.#values.set(value, samples);
    samples.set(sample, [...(samples.get(sample) ?? []), held]);
  }

  /** What contains a part of a value; undefined where this device has no such thing. */
  find(value: string, sample: number, box: Box): HeldTensor | undefined {
    return this.#values
      .get(value)
      ?.get(sample)
      ?.find((held) => contains(held.box, box));
  }

  whole(value: string, sample: number): TensorValue {
    const held = this.#values.get(value)?.get(sample)?.at(-1);
    if (!held) throw new ExecutionError("not_held", `the first device does not get the output "${value}"`);
    return held.tensor;
  }

  forget(isOver: (value: string) => boolean): void {
    for (const value of [...this.#values.keys()]) if (isOver(value)) this.#values.delete(value);
  }
}

/** Partial sums stand beside the values that they add up to. */
function partialOf(value: string): string {
  return `${value} (partial)`;
}

/** By value, the last stage that reads it; outputs are read after all of them. */
function lastReadsOf({ stages, outputs }: ShardManifest): Map<string, number> {
  const last = new Map<string, number>();
  for (const [index, { collectives, shards }] of stages.entries()) {
    for (const { kind, value } of collectives) last.set(kind === "sum" ? partialOf(value) : value, index);
    for (const { inputs, outputs: made } of shards) {
      for (const { value } of inputs) last.set(value, index);
      // Kept at least until a later stage asks for it.
      for (const { value, partial } of made) if (partial) last.set(partialOf(value), index + 1);
    }
  }
  for (const name of outputs) last.set(name, stages.length);
  return last;
}

function exchange(
  { kind, value, results }: Collective,
  memories: readonly Memory[],
  watch: (boundary: Boundary) => void,
): void {
  const source = kind === "sum" ? partialOf(value) : value;
  const arrived: { device: number; sample: number; held: HeldTensor }[] = [];
  for (const { device, box, pieces } of results) {
    const [samples, ...own] = box as [Range, ...Range[]];
    for (let sample = samples.from; sample < samples.to; sample++) {
      const parts = pieces
        .filter(({ box: [range] }) => range && range.from <= sample && sample < range.to)
        .map(({ from, box: [, ...shared] }) => {
          const held = memories[from]?.find(source, sample, shared);
          if (!held)
            throw new ExecutionError("not_held", `device ${from} does not hold its piece of "${value}"`);
          return { held, box: shared };
        });
      const dataType = parts[0]?.held.tensor.dataType;
      if (dataType === undefined) throw new ExecutionError("not_held", `nobody sends a piece of "${value}"`);
      const tensor = (kind === "sum" ? summed : gathered)(dataType, own, parts);
      arrived.push({ device, sample, held: { box: own, tensor } });
    }
  }
  // All at once: what arrives is not passed on within one collective.
  for (const { device, sample, held } of arrived) {
    memories[device]?.hold(value, sample, held);
    watch({ value, device, sample, ...held });
  }
}

async function runShard(
  shard: ManifestShard,
  session: Session,
  memories: readonly Memory[],
  watch: (boundary: Boundary) => void,
): Promise<void> {
  for (const { device, samples } of shard.devices) {
    const memory = memories[device] as Memory;
    for (let sample = samples.from; sample < samples.to; sample++) {
      const feeds = shard.inputs.map(({ name, value, box }): [string, TensorValue] => {
        const held = memory.find(value, sample, box);
        if (!held)
          throw new ExecutionError("not_held", `device ${device} lacks a part of "${value}" that it reads`);
        return [name, cut(held, box)];
      });
      const answer = await session.run(Object.fromEntries(feeds));
      for (const { name, value, box, partial } of shard.outputs) {
        const tensor = answer[name] as TensorValue;
        memory.hold(partial ? partialOf(value) : value, sample, { box, tensor });
        if (!partial) watch({ value, device, sample, box, tensor });
      }
    }
  }
}
