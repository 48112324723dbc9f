import type { Model } from "../../onnx/model.ts";
import { modelBytes } from "../../onnx/write.ts";
import type { Feeds, Session } from "../../runtime/runtime.ts";
import type { Execution } from "./execution.ts";
import { SegmentLoader } from "./segment-loader.ts";
import { type LaterRead, SegmentPlan } from "./segment-plan.ts";
import { SegmentRun } from "./segment-run.ts";

/** A part of a model with what it is run on, to look at values inside it. */
export interface Stage {
  readonly model: Model;
  /** Loads this model, or an edited one with the same inputs. @throws RuntimeLoadError */
  load(model: Model): Promise<Session>;
  /** What the model reads, a feed after the other; each time from the start. */
  feeds(): AsyncIterable<Feeds>;
}

/** The parts of a model's run on some feeds: one where it fits, its segments otherwise. */
export interface Staging {
  readonly isWhole: boolean;
  /** Place of the stage in which a value is made. @param path as walkGraphs gives it */
  stageOf(path: readonly string[], name: string): number;
  /**
   * The stages in their order; each is run when the next is asked for.
   * @param count of stages that are wanted
   * @param later what is looked at in a stage after the one that makes it
   */
  stages(count: number, later: readonly LaterRead[]): AsyncGenerator<Stage, void>;
}

export async function stagingOf(
  model: Model,
  feeds: readonly Feeds[],
  execution: Execution,
): Promise<Staging> {
  const plan = await SegmentPlan.of(model, feeds, execution);
  const { runtime } = execution;
  if (plan === null) {
    return {
      isWhole: true,
      stageOf: () => 0,
      async *stages() {
        const load = async (one: Model) => runtime.load(await modelBytes(one));
        yield { model, load, feeds: () => inTurn(feeds) };
      },
    };
  }
  return {
    isWhole: false,
    stageOf: (path, name) => plan.segmentOf(path, name),
    async *stages(count, later) {
      const segments = await plan.segments([], later);
      const run = new SegmentRun(segments, feeds, execution);
      const loader = new SegmentLoader(runtime);
      try {
        for (const [place, segment] of segments.slice(0, count).entries()) {
          if (place > 0) await run.carry(place - 1);
          yield {
            model: segment.model,
            load: (one) => loader.load(one),
            feeds: () => run.inputs(place),
          };
        }
      } finally {
        loader.free();
        await run.drop();
      }
    },
  };
}

async function* inTurn(feeds: readonly Feeds[]): AsyncGenerator<Feeds, void> {
  yield* feeds;
}
