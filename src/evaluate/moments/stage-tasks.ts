import type { LaterRead } from "../segments/segment-plan.ts";
import type { Staging } from "../segments/staging.ts";
import type { MomentsTask, Unseen } from "./plan.ts";

/** Which tasks are collected in which stage of a run. */
export interface StagedTasks {
  /** Indices of the tasks of each stage, up to the last that has some. */
  readonly stages: readonly (readonly number[])[];
  /** What each stage looks at, wherever it is made. */
  readonly later: readonly LaterRead[];
  readonly unseen: readonly Unseen[];
}

/**
 * Gives each task to the stage that makes the last of its values: the uses of a weight are pooled run by run, so all of
 * them have to be seen together.
 */
export function stageTasks(tasks: readonly MomentsTask[], staging: Staging): StagedTasks {
  const stages: number[][] = [[]];
  const later = new Map<string, LaterRead>();
  const unseen: Unseen[] = [];
  for (const [index, { layers, uses }] of tasks.entries()) {
    const values = uses.flatMap(({ path, reading }) =>
      reading.values.map((name) => ({ path, name, segment: staging.stageOf(path, name) })),
    );
    const stage = Math.max(0, ...values.map(({ segment }) => segment));
    const passed = values.filter(({ segment }) => segment < stage);
    if (passed.some(({ path }) => path.length > 0)) {
      // What branches compute has no name outside of them by which it could stay.
      const reason = "its uses lie in branches that do not fit in memory together";
      unseen.push(...layers.map((layer) => ({ layer, reason })));
      continue;
    }
    for (const { name } of values.filter(({ path }) => path.length === 0))
      later.set(JSON.stringify([name, stage]), { name, segment: stage });
    while (stages.length <= stage) stages.push([]);
    stages[stage]!.push(index);
  }
  return { stages, later: [...later.values()], unseen };
}
