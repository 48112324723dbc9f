import type { Mix } from "../../schemas/mix.ts";
import type { PlanOptions } from "../../schemas/plan.ts";
import type { Recipe } from "../../schemas/recipe.ts";
import type { RunMemory } from "../evaluate/segments/execution.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { ByteSource } from "../onnx/source.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** Values that survive a crash: what a step returns is stored as JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Bytes that survive a crash, by deterministic keys: R2 in the Worker, a temporary folder in the CLI. */
export interface Blobs {
  /**
   * Writes the whole object, which is read as it is written; writing the same key again replaces it with the same bytes.
   * @returns SHA-256 of the bytes, in hex.
   */
  put(key: string, source: ByteSource): Promise<string>;
  /** @throws BlobMissingError when nothing was written under the key. */
  open(key: string): Promise<ByteSource>;
  /** Nothing may be there. */
  delete(key: string): Promise<void>;
}

/** Where a job runs: the Workflow in workerd, the command line in Node, a page in a browser. */
export interface JobHost {
  readonly blobs: Blobs;
  /** Runs a named durable step once; a retry or a restart answers with the stored result. */
  step<T extends Json>(name: string, run: () => Promise<T>): Promise<T>;
  /** Tells the user how far the job is; may be called often. `progress` is in [0, 1]. */
  report(step: string, progress: number, weights?: WeightsDone): Promise<void>;
  /** Has every layer treated (LayerTasks), wherever the host has room; returns when all of them are. */
  treatLayers(work: LayerWork): Promise<void>;
  runtime(): Promise<Runtime>;
  /** Bytes that a model and what it computes may take while it runs; one that takes more is run in segments. */
  readonly memory: RunMemory;
  kernels(): Promise<Kernels>;
  /** Bytes that the WASM memories of runtime and kernels take. */
  wasmBytes(): number;
  /** Milliseconds, for durations only. Async, because workerd's clock stands still between I/O. */
  now(): Promise<number>;
}

/** Bytes of the weights that a stage works through. */
export interface WeightsDone {
  readonly done: number;
  readonly total: number;
}

/** The layers of a job, which can be treated in any order and in any number of places at once. */
export type LayerWork = {
  /** The prefix under which the job's layer file lies (layer-tasks.ts). */
  readonly prefix: string;
  /** The model whose layers they are. */
  readonly model: StoredModel;
  /** Bytes of each layer's weight. */
  readonly bytes: readonly number[];
  /** Share of the job's progress at which they begin and end. */
  readonly progress: readonly [number, number];
};

/** A file that lies in a blob. */
export type StoredFile = {
  readonly key: string;
  /** Where in the blob it lies; null where it is the blob. */
  readonly range: { readonly offset: number; readonly length: number } | null;
};

/** A model file and its external data. */
export type StoredModel = StoredFile & {
  /** By their locations; null for a model on its way, which names blobs itself. */
  readonly external: Readonly<Record<string, StoredFile>> | null;
};

/** What to do, with every input as a blob key. */
export interface CompressionJob {
  /** Prefix under which the job writes: `jobs/<id>/`. */
  readonly prefix: string;
  readonly model: StoredModel;
  /** Of the model's file without its external data, in hex. */
  readonly modelSha256: string;
  readonly recipe: Recipe;
  readonly calibration: { readonly key: string; readonly format: "npz" | "npy" | "safetensors" } | null;
  readonly mix: Mix | null;
  readonly plan: PlanOptions;
}

/** Blob keys of the results, and the figures a status line shows. */
export type CompressionOutcome = {
  readonly artifact: { readonly key: string; readonly bytes: number; readonly sha256: string };
  readonly report: { readonly key: string };
  readonly plan: { readonly key: string } | null;
};
