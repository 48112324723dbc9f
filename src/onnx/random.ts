import type { Node } from "./model.ts";

/** Operators whose outputs are not a function of their inputs: never merged, removed or evaluated. */
const RANDOM: ReadonlySet<string> = new Set([
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
  "Multinomial",
  "Bernoulli",
]);

export function isRandom({ opType, domain }: Node): boolean {
  return RANDOM.has(opType) && (domain === "" || domain === "ai.onnx");
}
