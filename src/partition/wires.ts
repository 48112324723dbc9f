import type { DeviceGroup } from "./mix.ts";
import type { GroupCount } from "./tree.ts";

/** What joins the two sides of a cut. */
export interface Wires {
  /** Bytes per second and direction. */
  readonly bandwidth: number;
  /** Seconds a message. */
  readonly latency: number;
  /** Energy of a byte that crosses. */
  readonly joulesPerByte: number;
}

/**
 * Between two parts of one group, of a and b devices. Through a switch every device of the smaller part sends at its full
 * bandwidth. A ring is cut in two places, its arcs in one (the bisection of Dally and Towles, Principles and Practices of
 * Interconnection Networks, 2004, section 3.3).
 */
export function wiresWithin({ link, count }: DeviceGroup, a: number, b: number): Wires {
  const wholeRing = link.topology === "ring" && a + b === count && count > 2;
  const crossing = link.topology === "switch" ? Math.min(a, b) : wholeRing ? 2 : 1;
  return { bandwidth: crossing * link.bandwidth, latency: link.latency, joulesPerByte: link.joules_per_byte };
}

/**
 * Between sides of several groups: as wide as the narrower side's ways out taken together, as slow as the slowest of
 * them. A byte leaves by a way out of one side and enters by one of the other, and where a side has several the
 * costliest counts.
 */
export function wiresBetween(
  a: readonly GroupCount[],
  b: readonly GroupCount[],
  groups: readonly DeviceGroup[],
): Wires {
  const [from, to] = [outOf(a, groups), outOf(b, groups)];
  return {
    bandwidth: Math.min(from.bandwidth, to.bandwidth),
    latency: Math.max(from.latency, to.latency),
    joulesPerByte: from.joulesPerByte + to.joulesPerByte,
  };
}

function outOf(side: readonly GroupCount[], groups: readonly DeviceGroup[]): Wires {
  const ways = side.map((part): Wires => {
    const { link, uplink, count } = groups[part.group] as DeviceGroup;
    const { latency, joules_per_byte: joulesPerByte } = uplink ?? link;
    // Of an uplink each device of the group has its part.
    const bandwidth = uplink ? (uplink.bandwidth * part.count) / count : link.bandwidth * part.count;
    return { bandwidth, latency, joulesPerByte };
  });
  return {
    bandwidth: ways.reduce((sum, way) => sum + way.bandwidth, 0),
    latency: Math.max(...ways.map((way) => way.latency)),
    joulesPerByte: Math.max(...ways.map((way) => way.joulesPerByte)),
  };
}
