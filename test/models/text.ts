/**
 * What is rendered and read aloud for the real models, in two parts without a sentence in common: one to calibrate with,
 * the other to measure on.
 */
const SENTENCES = [
  [
    "Hone sparse kernel matrix tensor 2026 weight shard model basis 4:8 layer price $19.90 Kelvin gram plan rank",
    "it takes a network and gives it back smaller, faster, and with a split for every accelerator",
    "total due 1,284.50 EUR before 14 March, reference HX-7730/b",
    "channels that nobody hears are removed, and those which stay make up for them",
    "Platform 9 closes two minutes before departure; mind the gap",
  ],
  [
    "quick brown foxes jump over 13 lazy dogs while the piano waits",
    "add three cups of flour, 250 ml milk and a pinch of salt, then stir",
    "invoice No. 40817 was paid by card ending in 6652 on Friday",
    "rivers rise in spring when snow melts above the old bridge",
    "error 404: page not found, please check the address & try again",
  ],
] as const;

export type Part = 0 | 1;

export function sentencesOf(part: Part): string {
  return SENTENCES[part].join(". ");
}

export function wordsOf(part: Part): string[] {
  return SENTENCES[part].join(" ").split(" ");
}
