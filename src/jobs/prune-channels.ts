import type { Limits } from "../compress/allocate/search.ts";
import { limitsOf } from "../compress/allocate/target.ts";
import { chooseRemovals } from "../compress/channel-pruning/choose.ts";
import { type ChannelGroup, findChannelGroups } from "../compress/channel-pruning/groups.ts";
import { pruneChannels as pruned } from "../compress/channel-pruning/prune.ts";
import { type LayerMoments, scoreUnits } from "../compress/channel-pruning/score.ts";
import { withoutUnread } from "../compress/channel-pruning/unread.ts";
import { inspectModel } from "../onnx/inspect.ts";
import type { Model } from "../onnx/model.ts";
import { inferDefaultShapes } from "../onnx/shapes/defaults.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import { type MomentsFacts, readMoments } from "./gather-moments.ts";
import type { UploadFacts } from "./inspect-upload.ts";
import type { Blobs, CompressionJob, JobHost, StoredModel } from "./job.ts";
import type { LayerTable } from "./layer-table.ts";
import { measureModel } from "./measure.ts";
import type { StepLog } from "./step-log.ts";
import { storeModel } from "./stored-model.ts";
import { lazy, type Workbench } from "./workbench.ts";

export type ChannelPruning = {
  /** Where the pruned model lies; null where no channel was removed. */
  readonly model: StoredModel | null;
  /** Layers of which no channel can be removed, and why. */
  readonly left: readonly { readonly layer: string; readonly reason: string }[];
};

interface Context {
  readonly job: CompressionJob;
  readonly upload: UploadFacts;
  readonly calibration: CalibrationFacts;
  readonly table: LayerTable;
  readonly moments: MomentsFacts;
  readonly bench: Workbench;
  readonly host: JobHost;
  readonly blobs: Blobs;
  readonly steps: StepLog;
  readonly progress: readonly [number, number];
}

const NOTHING: ChannelPruning = { model: null, left: [] };
/** Share of the fidelity that may be lost which channels may take; the rest is for what is done to single layers. */
const SHARE_OF_LOSS = 0.35;
/** What pruning has to save of bytes or of multiply-accumulates to be worth that. */
const WORTH = 0.08;
/** Share of all channels that is tried at most, and how finely. */
const MOST = 0.6;
const TRIALS = 5;

/**
 * Removes whole channels where the recipe says how many, and as many as pay where it leaves that open: those that nobody
 * reads in any case. Each trial is a step of its own, measured on the pruned model.
 */
export async function pruneChannels(context: Context): Promise<ChannelPruning> {
  const { job, upload, calibration, table, bench, host, blobs, steps, progress } = context;
  const { channels } = table.policy;
  if (channels.use === "no") return NOTHING;
  const candidates = lazy(() => candidatesOf(context));
  const store = async (share: number): Promise<ChannelPruning> => {
    const { left, prune, shrink } = await candidates();
    const model = await (share === 0 ? shrink() : prune(share));
    if (model === table.model) return { model: null, left };
    return { model: await storeModel(blobs, `${job.prefix}pruned.onnx`, model), left };
  };
  if (channels.use === "exactly") {
    return steps.run("prune channels", progress[0], () => store(channels.ratio));
  }
  const unread = () => steps.run("prune channels", progress[1], () => store(0));
  if (!calibration.runs || job.calibration === null) return unread();
  const suffices = sufficient(limitsOf(job.recipe.target, upload), upload, bench, host);
  if (suffices === null) return unread();
  let best = 0;
  let above = MOST;
  for (let trial = 1; trial <= TRIALS; trial++) {
    const share = (best + above) / 2;
    const at = progress[0] + ((progress[1] - progress[0]) * (trial - 1)) / TRIALS;
    const { keeps } = await steps.run(`prune channels ${trial}`, at, async () => ({
      keeps: await suffices(await (await candidates()).prune(share)),
    }));
    if (keeps) best = share;
    else above = share;
  }
  return steps.run("prune channels", progress[1], async () => {
    if (best === 0) return store(0);
    const model = await (await candidates()).prune(best);
    const [before, after] = [await inspectModel(table.model), await inspectModel(model)];
    const saved = (one: number | null, of: number | null) => (one === null || !of ? 0 : 1 - one / of);
    const worth =
      saved(after.parameters, before.parameters) >= WORTH || saved(after.macs, before.macs) >= WORTH;
    return store(worth ? best : 0);
  });
}

/**
 * Whether a pruned model may lose more channels still. Under a limit on fidelity: while it keeps its share of the loss. Under
 * one on multiply-accumulates or time alone: while it has more of them left than the root of what is allowed, so that
 * channels and what is done to single layers save by the same factor. null where nothing of it is limited.
 */
function sufficient(
  { minR2, maxMacs, maxLatencyRatio }: Limits,
  upload: UploadFacts,
  bench: Workbench,
  host: JobHost,
): ((model: Model) => Promise<boolean>) | null {
  if (minR2 !== undefined) {
    const most = SHARE_OF_LOSS * (1 - minR2);
    return async (model) => {
      const { minR2: reached } = await measureModel(model, ["fidelity"], bench, host, 1 - most);
      return reached !== null && 1 - reached <= most;
    };
  }
  const { macs: before } = upload;
  const ratio = Math.min(maxMacs === undefined ? 1 : maxMacs / (before || 1), maxLatencyRatio ?? 1);
  if (!before || ratio >= 1) return null;
  return async (model) => ((await inspectModel(model)).macs ?? 0) > Math.sqrt(ratio) * before;
}

interface Candidates {
  readonly left: ChannelPruning["left"];
  /** The model without the share of its channels that matters least for what it saves. */
  prune(share: number): Promise<Model>;
  /** The model without the channels that nobody reads. */
  shrink(): Promise<Model>;
}

async function candidatesOf({ table, moments, host, blobs }: Context): Promise<Candidates> {
  const { model, layers, policy } = table;
  const { shapes } = await inferDefaultShapes(model);
  const { groups, left } = findChannelGroups(model, shapes);
  const skipped = new Set(layers.map(({ name }) => name).filter((name) => policy.layers.get(name)?.skip));
  const isOpen = ({ producers, consumers }: ChannelGroup) =>
    [...producers, ...consumers].every(({ layer }) => !skipped.has(layer));
  const open = groups.filter(isOpen);
  const seen: LayerMoments | null =
    Object.keys(moments.keys).length === 0
      ? null
      : new Map(
          await Promise.all(
            layers.map(async ({ name }) => [name, (await readMoments(blobs, moments, name)) ?? []] as const),
          ),
        );
  const options = { moments: seen, kernels: await host.kernels() };
  const scores = lazy(() => scoreUnits(layers, open, options));
  return {
    left,
    prune: async (share) =>
      pruned(model, open, chooseRemovals(open, await scores(), share, { save: worthOf(open) }), options),
    shrink: () => withoutUnread(model, isOpen, options.kernels),
  };
}

/** Multiply-accumulates where they are known, bytes otherwise. */
function worthOf(groups: readonly ChannelGroup[]): "macs" | "bytes" {
  return groups.some(({ macsPerUnit }) => macsPerUnit > 0) ? "macs" : "bytes";
}
