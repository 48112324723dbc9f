/** Indices from `from` up to, but without, `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A part of a tensor: a range an axis. */
export type Box = readonly Range[];

/** The whole tensor. */
export function wholeBox(dims: readonly number[]): Box {
  return dims.map((size) => ({ from: 0, to: size }));
}

export function lengthOf({ from, to }: Range): number {
  return Math.max(0, to - from);
}

export function isEmpty(box: Box): boolean {
  return box.some((range) => lengthOf(range) === 0);
}

export function sameBox(a: Box, b: Box): boolean {
  return a.length === b.length && a.every((range, axis) => sameRange(range, b[axis] as Range));
}

export function sameRange(a: Range, b: Range): boolean {
  return a.from === b.from && a.to === b.to;
}

export function contains(outer: Box, inner: Box): boolean {
  return outer.every(({ from, to }, axis) => from <= inner[axis]!.from && inner[axis]!.to <= to);
}

/** What both have; null where that is nothing. */
export function intersection(a: Box, b: Box): Box | null {
  const shared = a.map(({ from, to }, axis) => ({
    from: Math.max(from, b[axis]!.from),
    to: Math.min(to, b[axis]!.to),
  }));
  return isEmpty(shared) ? null : shared;
}

/** The box without what `hole` covers of it, as boxes that do not overlap. */
export function without(box: Box, hole: Box): Box[] {
  const shared = intersection(box, hole);
  if (shared === null) return [box];
  const parts: Box[] = [];
  let rest = box;
  for (const [axis, { from, to }] of shared.entries()) {
    const own = rest[axis] as Range;
    const side = (range: Range) => rest.map((other, at) => (at === axis ? range : other));
    if (own.from < from) parts.push(side({ from: own.from, to: from }));
    if (to < own.to) parts.push(side({ from: to, to: own.to }));
    rest = side({ from, to });
  }
  return parts;
}

/** As the manifest and messages write it: `0:2,16:32`. */
export function boxText(box: Box): string {
  return box.map(({ from, to }) => `${from}:${to}`).join(",");
}
