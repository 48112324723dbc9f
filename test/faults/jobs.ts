import type { Mix } from "../../schemas/mix.ts";
import type { Recipe } from "../../schemas/recipe.ts";
import { randomFrom } from "../../src/evaluate/random.ts";
import { npy, npz } from "../evaluate/files.ts";
import { stackModel } from "../jobs/stack-model.ts";

/** A job of the harness. */
export interface FaultJob {
  readonly model: keyof typeof MODELS;
  readonly recipe: Recipe;
  readonly sampled?: true;
  readonly mix?: Mix;
}

const WIDTH = 24;

export const MODELS = {
  /** 10 MB, so that its objects go up in parts. */
  wide: () => stackModel(3, 900),
  deep: () => stackModel(12, WIDTH),
  small: () => stackModel(4, WIDTH),
};

/** Every kind of step is in one of them. */
export const JOBS: readonly FaultJob[] = [
  { model: "small", recipe: {} },
  { model: "small", recipe: {}, sampled: true },
  { model: "small", recipe: { target: { size_ratio: 0.5 } }, mix: [{ accelerator: "t4", count: 2 }] },
  { model: "small", recipe: { low_rank: { rank: 6, share: "stage" } } },
  { model: "small", recipe: { sparsity: { ratio: 0.6, scope: "global" } } },
  { model: "small", recipe: { sparsity: { ratio: 0.25, pattern: "channel" } } },
  { model: "deep", recipe: { quantization: { weights: "int8" } } },
  { model: "deep", recipe: { methods: ["quantization"] } },
  { model: "deep", recipe: { sparsity: { ratio: 0.5 } }, sampled: true },
  { model: "deep", recipe: { methods: [] } },
  { model: "wide", recipe: { quantization: { weights: "int8" } } },
  { model: "wide", recipe: { quantization: { weights: "fp16" } }, mix: [{ accelerator: "t4", count: 2 }] },
];

/** Samples for the narrow models. */
export function samples(): Uint8Array {
  const random = randomFrom(7);
  const count = 12;
  const data = Float32Array.from({ length: count * WIDTH }, () => random.uniform());
  return npz({ x: npy("<f4", [count, WIDTH], data) });
}
