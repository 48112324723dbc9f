import { peakKiB } from "./peak.mjs";

/** What Node itself takes. */
console.log(JSON.stringify({ milliseconds: 0, peakKiB: peakKiB() }));
