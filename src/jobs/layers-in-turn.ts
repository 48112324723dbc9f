import type { JobHost, LayerWork } from "./job.ts";
import { LayerTasks, type TaskHost } from "./layer-tasks.ts";

/** Called with each layer that has been treated, in any order. */
export type OnLayer = (layer: number) => void | Promise<void>;

/** Treats the layers of a job one after the other, where it is called. */
export async function treatInTurn(work: LayerWork, host: TaskHost, onDone: OnLayer): Promise<void> {
  const tasks = await LayerTasks.open(work, host);
  for (const layer of work.bytes.keys()) {
    await tasks.treatOrLeave(layer);
    await onDone(layer);
  }
}

/** Reports how many layers and bytes are done, none at first. */
export async function layerProgress(
  { bytes, progress }: LayerWork,
  host: Pick<JobHost, "report">,
): Promise<OnLayer> {
  const [begin, end] = progress;
  const total = bytes.reduce((sum, one) => sum + one, 0);
  let layers = 0;
  let done = 0;
  const tell = () => {
    const at = begin + (end - begin) * (layers / Math.max(1, bytes.length));
    return host.report(`treat ${layers} of ${bytes.length}`, at, { done, total });
  };
  await tell();
  return (layer) => {
    layers += 1;
    done += bytes[layer]!;
    return tell();
  };
}
