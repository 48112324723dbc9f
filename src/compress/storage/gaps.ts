/** Positions of the stored elements of a sparse vector, each as the distance from the one before. */
export interface Gaps {
  /** The first position, then differences of at least 1; all below the base. */
  readonly gaps: Uint8Array;
  /** Element of the dense vector that each gap leads to; zeros among them bridge long gaps. */
  readonly positions: Uint32Array;
}

/** The gaps to every non-zero element, with zero elements stored wherever a gap would reach `base` (2 … 256). */
export function gapsOf(values: ArrayLike<number>, base: number): Gaps {
  const count = countGaps(values, base);
  const gaps = new Uint8Array(count);
  const positions = new Uint32Array(count);
  let at = 0;
  let before = 0;
  const store = (position: number) => {
    gaps[at] = position - before;
    positions[at++] = position;
    before = position;
  };
  for (let i = 0; i < values.length; i++) {
    if (values[i] === 0) continue;
    while (i - before >= base) store(before + base - 1);
    store(i);
  }
  return { gaps, positions };
}

/** How many elements {@link gapsOf} stores. */
export function countGaps(values: ArrayLike<number>, base: number): number {
  let count = 0;
  let before = 0;
  for (let i = 0; i < values.length; i++) {
    if (values[i] === 0) continue;
    count += Math.max(0, Math.ceil((i - before - base + 1) / (base - 1))) + 1;
    before = i;
  }
  return count;
}
