import type { TensorValue } from "../../onnx/tensor-value.ts";
import type { Feeds } from "../../runtime/runtime.ts";
import { betweenBytes, type Execution } from "./execution.ts";
import type { Segment } from "./segment.ts";
import { SegmentLoader } from "./segment-loader.ts";
import { gatherRows } from "./table-rows.ts";
import { Room, Track } from "./track.ts";

/**
 * A run of a model in segments on many feeds: each segment is loaded once for all of them, and what later ones read is
 * kept until the last has read it.
 */
export class SegmentRun {
  readonly #segments: readonly Segment[];
  readonly #feeds: readonly Feeds[];
  readonly #execution: Execution;
  readonly #loader: SegmentLoader;
  readonly #room: Room;
  readonly #tracks = new Map<string, Track>();
  /** The last segment that reads each value. */
  readonly #lastReads: ReadonlyMap<string, number>;

  constructor(segments: readonly Segment[], feeds: readonly Feeds[], execution: Execution) {
    this.#segments = segments;
    this.#feeds = feeds;
    this.#execution = execution;
    this.#loader = new SegmentLoader(execution.runtime);
    this.#room = new Room(betweenBytes(execution.memory));
    this.#lastReads = new Map(
      segments.flatMap(({ inputs }, place) => inputs.map((name) => [name, place] as const)),
    );
  }

  /** The model's answers, in the order of the feeds. @throws RuntimeLoadError, RuntimeRunError */
  async *answers(outputs: readonly string[]): AsyncGenerator<Feeds, void> {
    try {
      const last = this.#segments.length - 1;
      for (let place = 0; place < last; place++) await this.carry(place, outputs);
      let feed = 0;
      for await (const answer of this.#run(last)) {
        const found: Record<string, TensorValue> = {};
        for (const name of outputs) found[name] = answer[name] ?? (await this.#valueOf(name, feed));
        yield found;
        feed++;
      }
    } finally {
      await this.drop();
    }
  }

  /**
   * Runs a segment on every feed and keeps what is read later; forgets what is not read any more.
   * @param outputs names that are read when all segments have run
   */
  async carry(place: number, outputs: readonly string[] = []): Promise<void> {
    const names = this.#segments[place]!.outputs;
    if (names.length > 0) {
      const tracks = names.map((name) => [name, new Track(this.#room, this.#execution.scratch)] as const);
      for (const [name, track] of tracks) this.#tracks.set(name, track);
      for await (const answer of this.#run(place)) {
        for (const [name, track] of tracks) await track.add(answer[name]!);
      }
      for (const [, track] of tracks) await track.seal();
    }
    for (const [name, track] of this.#tracks) {
      if ((this.#lastReads.get(name) ?? 0) > place || outputs.includes(name)) continue;
      await track.drop();
      this.#tracks.delete(name);
    }
  }

  /** What a segment reads, in the order of the feeds. */
  async *inputs(place: number): AsyncGenerator<Feeds, void> {
    for (const feed of this.#feeds.keys()) {
      const found: Record<string, TensorValue> = {};
      for (const name of this.#segments[place]!.inputs) found[name] = await this.#valueOf(name, feed);
      yield found;
    }
  }

  /** Frees what is kept. */
  async drop(): Promise<void> {
    for (const track of this.#tracks.values()) await track.drop();
    this.#tracks.clear();
    this.#loader.free();
  }

  async *#run(place: number): AsyncGenerator<Feeds, void> {
    const { model, rows } = this.#segments[place]!;
    if (rows) {
      for await (const inputs of this.inputs(place)) {
        yield { [rows.output]: await gatherRows(rows, inputs[rows.indices]!, this.#loader) };
      }
      return;
    }
    const session = await this.#loader.load(model);
    try {
      for await (const inputs of this.inputs(place)) yield await session.run(inputs);
    } finally {
      await session.release();
    }
  }

  async #valueOf(name: string, feed: number): Promise<TensorValue> {
    return (await this.#tracks.get(name)?.at(feed)) ?? this.#feeds[feed]![name]!;
  }
}
