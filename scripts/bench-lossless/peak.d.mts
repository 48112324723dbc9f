/** The largest resident set of this process, KiB. */
export function peakKiB(): number;
