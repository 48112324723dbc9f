import type { DeviceGroup } from "./mix.ts";
import { peakFlops } from "./peak.ts";
import { type Wires, wiresBetween, wiresWithin } from "./wires.ts";

/**
 * The hierarchy of cuts: the array is split in two, and the halves again, until each part is one device. Unlike
 * accelerators are separated first. All cuts of one depth form a level, and a layer has one partition type a
 * level. Halves that are equal down to the last device are one class with a multiplicity, so that 2^n equal
 * devices cost as much to plan as n.
 */
export interface Hierarchy {
  readonly groups: readonly DeviceGroup[];
  /** levels[h] holds the classes at depth h; levels[depth] holds single devices only. */
  readonly levels: readonly (readonly DeviceClass[])[];
  /** Number of cut levels. */
  readonly depth: number;
  readonly cuts: readonly Cut[];
}

/** Equal sets of devices that do equal work. */
export interface DeviceClass {
  /** How many such sets there are. */
  readonly multiplicity: number;
  readonly devices: readonly GroupCount[];
  /** null where the set is one device. A single device stays in all deeper levels. */
  readonly cut: Cut | null;
  /** Positions in the next level; equal halves share one. */
  readonly children: readonly [number, number];
}

export interface GroupCount {
  /** Index into `groups`. */
  readonly group: number;
  readonly count: number;
}

export interface Cut {
  readonly id: number;
  readonly sides: readonly [readonly GroupCount[], readonly GroupCount[]];
  /** Share of side a where only the numbers of devices count: 1/2 for equal halves. */
  readonly countShare: number;
  /** True where both sides have the same kind of device, so that shares follow the counts. */
  readonly alike: boolean;
  readonly wires: Wires;
}

/** Builds the hierarchy; deterministic in the order of the groups. */
export function hierarchyOf(groups: readonly DeviceGroup[]): Hierarchy {
  const cuts: Cut[] = [];
  const root = orderGroups(groups);
  const levels: DeviceClass[][] = [];
  let frontier: { devices: readonly GroupCount[]; multiplicity: number }[] = [
    { devices: root, multiplicity: 1 },
  ];
  for (;;) {
    const next: typeof frontier = [];
    let split = false;
    const level = frontier.map(({ devices, multiplicity }): DeviceClass => {
      const sides = divide(devices, groups);
      if (!sides) {
        next.push({ devices, multiplicity });
        return { devices, multiplicity, cut: null, children: [next.length - 1, next.length - 1] };
      }
      split = true;
      const cut = cutOf(cuts.length, sides, groups);
      cuts.push(cut);
      const first = next.length;
      if (cut.alike && cut.countShare === 0.5) {
        next.push({ devices: sides[0], multiplicity: 2 * multiplicity });
        return { devices, multiplicity, cut, children: [first, first] };
      }
      next.push({ devices: sides[0], multiplicity }, { devices: sides[1], multiplicity });
      return { devices, multiplicity, cut, children: [first, first + 1] };
    });
    levels.push(level);
    if (!split) return { groups, levels, depth: levels.length - 1, cuts };
    frontier = next;
  }
}

/** Slow links last, so that cuts between unlike groups fall on the slow links. */
function orderGroups(groups: readonly DeviceGroup[]): GroupCount[] {
  const speed = (index: number) => peakFlops((groups[index] as DeviceGroup).accelerator, "fp32");
  const width = (index: number) => {
    const { link, uplink, count } = groups[index] as DeviceGroup;
    return uplink ? uplink.bandwidth / count : link.bandwidth;
  };
  return groups
    .map(({ count }, group) => ({ group, count }))
    .sort((a, b) => width(b.group) - width(a.group) || speed(b.group) - speed(a.group) || a.group - b.group);
}

/** Two halves: several kinds part where both sides' compute is nearest, one kind by number. */
function divide(
  devices: readonly GroupCount[],
  groups: readonly DeviceGroup[],
): readonly [GroupCount[], GroupCount[]] | null {
  const only = devices[0] as GroupCount;
  if (devices.length === 1) {
    if (only.count === 1) return null;
    const larger = Math.ceil(only.count / 2);
    return [[{ ...only, count: larger }], [{ ...only, count: only.count - larger }]];
  }
  const flops = devices.map(
    ({ group, count }) => count * peakFlops((groups[group] as DeviceGroup).accelerator, "fp32"),
  );
  const total = flops.reduce((sum, value) => sum + value, 0);
  let at = 1;
  let least = Number.POSITIVE_INFINITY;
  let before = 0;
  for (let split = 1; split < devices.length; split++) {
    before += flops[split - 1] as number;
    const gap = Math.abs(total - 2 * before);
    if (gap < least) {
      least = gap;
      at = split;
    }
  }
  return [devices.slice(0, at), devices.slice(at)];
}

function cutOf(id: number, sides: Cut["sides"], groups: readonly DeviceGroup[]): Cut {
  const [a, b] = sides;
  const count = (side: readonly GroupCount[]) => side.reduce((sum, part) => sum + part.count, 0);
  const alike = a.length === 1 && b.length === 1 && a[0]?.group === b[0]?.group;
  return {
    id,
    sides,
    countShare: count(a) / (count(a) + count(b)),
    alike,
    wires: alike
      ? wiresWithin(groups[(a[0] as GroupCount).group] as DeviceGroup, count(a), count(b))
      : wiresBetween(a, b, groups),
  };
}
