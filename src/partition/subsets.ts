import type { Mode, Objective } from "../../schemas/plan.ts";
import type { Network } from "./graph.ts";
import type { DeviceGroup } from "./mix.ts";
import { nodeFlops, peakFlops } from "./peak.ts";
import { flopsOf } from "./shares.ts";

/** How many devices of each group of the mix take part. */
export type Counts = readonly number[];

/**
 * Parts of a mix worth planning for, the whole mix first. More devices are not always better: a slow link can
 * cost more than its device gives, and energy and price count every device that takes part. Each kind alone in
 * halving numbers, the fastest kinds together, and the whole mix in halving numbers.
 */
export function subsetsOf(groups: readonly DeviceGroup[]): Counts[] {
  const found = new Map<string, Counts>();
  const add = (counts: Counts) => {
    if (counts.some((count) => count > 0)) found.set(counts.join(), counts);
  };
  const whole = groups.map(({ count }) => count);
  add(whole);
  const fastest = groups
    .map((group, g) => ({ g, speed: peakFlops(group.accelerator, "fp32") }))
    .sort((a, b) => b.speed - a.speed || a.g - b.g);
  for (let kinds = 1; kinds < groups.length; kinds++) {
    const taken = new Set(fastest.slice(0, kinds).map(({ g }) => g));
    add(whole.map((count, g) => (taken.has(g) ? count : 0)));
  }
  for (const [g, count] of whole.entries()) {
    for (let part = count; part >= 1; part = Math.floor(part / 2)) {
      add(whole.map((_, other) => (other === g ? part : 0)));
    }
  }
  for (let halvings = 1; whole.some((count) => count >> halvings > 0); halvings++) {
    add(whole.map((count) => count >> halvings));
  }
  return [...found.values()];
}

/** Groups with these counts, empty ones left out, and the index of each in the mix. */
export function takePart(
  groups: readonly DeviceGroup[],
  counts: Counts,
): { readonly groups: DeviceGroup[]; readonly origin: number[] } {
  const origin = groups.map((_, g) => g).filter((g) => (counts[g] as number) > 0);
  return { groups: origin.map((g) => someOf(groups[g] as DeviceGroup, counts[g] as number)), origin };
}

function someOf(group: DeviceGroup, count: number): DeviceGroup {
  const { link } = group;
  const open = link.topology === "ring" && count < group.count;
  return { ...group, count, link: open ? { ...link, topology: "line" } : link };
}

/** What a second of these devices counts for: itself, its watts, or its price. null where a figure is missing. */
export function rateOf(groups: readonly DeviceGroup[], objective: Objective): number | null {
  if (objective === "time") return 1;
  let rate = 0;
  for (const { accelerator, count } of groups) {
    const figure = objective === "energy" ? accelerator.watts : accelerator.price_per_hour;
    if (figure === undefined) return null;
    rate += count * (objective === "energy" ? figure : figure / 3600);
  }
  return rate;
}

/** Seconds that no plan can beat on these devices: all work split perfectly, nothing moved. */
export function computeBound(network: Network, groups: readonly DeviceGroup[], mode: Mode): number {
  let seconds = 0;
  for (const node of network.nodes) {
    const speed = groups.reduce(
      (sum, { accelerator, count }) => sum + count * nodeFlops(accelerator, node),
      0,
    );
    seconds += flopsOf(node, mode) / speed;
  }
  return seconds;
}
