import type { Model } from "../../onnx/model.ts";
import { modelBytes } from "../../onnx/write.ts";
import type { Feeds, Runtime, Session } from "../../runtime/runtime.ts";
import { inputsOf } from "../input-spec.ts";
import type { Execution } from "./execution.ts";
import type { Segment } from "./segment.ts";
import { outputsOf, SegmentPlan } from "./segment-plan.ts";
import { SegmentRun } from "./segment-run.ts";

/** A model that can be run. */
export interface Executable {
  /**
   * @param feeds what it is going to be run on, as far as that is known
   * @throws RuntimeLoadError where the runtime refuses it
   */
  open(feeds: readonly Feeds[]): Promise<BatchSession>;
}

/** A session that answers many feeds at once. */
export interface BatchSession extends Session {
  /** Whether the model is loaded whole, so that the time of a run is the model's. */
  readonly isWhole: boolean;
  /** One answer a feed, in their order. @throws RuntimeRunError */
  runAll(feeds: readonly Feeds[]): AsyncIterable<Feeds>;
}

/** Runs a model whole where it fits the host's memory, and in segments otherwise. */
export function executable(model: Model, execution: Execution): Executable {
  return {
    open: async (feeds) =>
      (await SegmentPlan.of(model, feeds, execution)) === null
        ? wholeSession(await execution.runtime.load(await modelBytes(model)))
        : new SegmentedSession(model, execution),
  };
}

/** A file that is run whole, whatever memory that takes. */
export function executableFile(bytes: Uint8Array, runtime: Runtime): Executable {
  return { open: async () => wholeSession(await runtime.load(bytes)) };
}

function wholeSession(session: Session): BatchSession {
  return {
    ...session,
    isWhole: true,
    async *runAll(feeds) {
      for (const feed of feeds) yield await session.run(feed);
    },
  };
}

/** Holds nothing between runs; each is cut by the shapes of its own feeds. */
class SegmentedSession implements BatchSession {
  readonly isWhole = false;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #model: Model;
  readonly #execution: Execution;
  /** The last cut, by the shapes that it was made for. */
  #cut: { readonly key: string; readonly segments: readonly Segment[] | null } | null = null;

  constructor(model: Model, execution: Execution) {
    this.#model = model;
    this.#execution = execution;
    this.inputNames = inputsOf(model).map(({ name }) => name);
    this.outputNames = outputsOf(model);
  }

  async run(feeds: Feeds): Promise<Feeds> {
    for await (const answer of this.runAll([feeds])) return answer;
    throw new Error("unreachable: every feed has an answer");
  }

  async *runAll(feeds: readonly Feeds[]): AsyncGenerator<Feeds, void> {
    const segments = await this.#segmentsFor(feeds);
    if (segments === null) {
      // The shapes that were known before were larger.
      const session = wholeSession(await this.#execution.runtime.load(await modelBytes(this.#model)));
      try {
        yield* session.runAll(feeds);
      } finally {
        await session.release();
      }
      return;
    }
    yield* new SegmentRun(segments, feeds, this.#execution).answers(this.outputNames);
  }

  async release(): Promise<void> {}

  /** null where the model runs whole on these. */
  async #segmentsFor(feeds: readonly Feeds[]): Promise<readonly Segment[] | null> {
    const shapes = feeds.map((feed) => Object.entries(feed).map(([name, { dims }]) => [name, dims]));
    const key = JSON.stringify(shapes);
    if (this.#cut?.key !== key) {
      const plan = await SegmentPlan.of(this.#model, feeds, this.#execution);
      this.#cut = { key, segments: plan && (await plan.segments(this.outputNames)) };
    }
    return this.#cut.segments;
  }
}
