import type { ChannelGroup } from "./groups.ts";

export interface ChooseOptions {
  /** What a removed unit is to save. */
  readonly save: "bytes" | "macs";
  /** Share of its units that every group keeps at least. */
  readonly least?: number;
}

/** Kernels work on this many channels at a time. */
const LANES = 4;
/** How much more a unit may score than what was removed, relative, to go along for a full set of lanes. */
const LANE_TOLERANCE = 1.1;
const LEAST_KEPT = 0.1;

/**
 * The first removals to try: units of the smallest score for what they save, over all groups, until `share` of what
 * all units together save is gone. Every axis keeps one unit, and every group a tenth. Where that leaves a number of
 * units that is no multiple of four, those that cost hardly more go as well. Ties go by the order of the groups.
 */
export function chooseRemovals(
  groups: readonly ChannelGroup[],
  scores: ReadonlyMap<string, ArrayLike<number>>,
  share: number,
  { save, least = LEAST_KEPT }: ChooseOptions,
): Map<string, number[]> {
  const saved = ({ bytesPerUnit, macsPerUnit }: ChannelGroup) =>
    save === "bytes" ? bytesPerUnit : macsPerUnit;
  const candidates = groups.flatMap((group) => {
    const score = scores.get(group.id);
    const each = saved(group);
    if (!score || !(each > 0)) return [];
    return Array.from({ length: group.units }, (_, unit) => ({ group, unit, price: score[unit]! / each }));
  });
  candidates.sort((a, b) => a.price - b.price);
  const goal = share * groups.reduce((sum, group) => sum + saved(group) * group.units, 0);
  const removed = new Map(groups.map((group) => [group.id, new Set<number>()]));
  let [done, highest] = [0, 0];
  const take = ({ group, unit }: { group: ChannelGroup; unit: number }) => {
    const gone = removed.get(group.id)!;
    if (gone.size + 1 > group.units * (1 - least) || !mayRemove(group, gone, unit)) return;
    gone.add(unit);
    done += saved(group);
  };
  for (const candidate of candidates) {
    if (done + saved(candidate.group) / 2 > goal) break;
    take(candidate);
    highest = candidate.price;
  }
  for (const candidate of candidates) {
    const { group, unit, price } = candidate;
    const gone = removed.get(group.id)!;
    if (price > highest * LANE_TOLERANCE || gone.size === 0 || gone.has(unit)) continue;
    if ((group.units - gone.size) % LANES !== 0) take(candidate);
  }
  return new Map(
    [...removed]
      .filter(([, units]) => units.size > 0)
      .map(([id, units]) => [id, [...units].sort((a, b) => a - b)]),
  );
}

/** Whether every set of units of which one has to stay still has one when this unit goes, too. */
export function mayRemove(group: ChannelGroup, gone: ReadonlySet<number>, unit: number): boolean {
  if (gone.size + 1 >= group.units) return false;
  return group.keep.every((set) => !set.includes(unit) || set.some((one) => one !== unit && !gone.has(one)));
}
