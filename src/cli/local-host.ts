import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunMemory } from "../evaluate/segments/execution.ts";
import type { JobHost, Json, LayerWork, WeightsDone } from "../jobs/job.ts";
import { layerProgress, treatInTurn } from "../jobs/layers-in-turn.ts";
import { WasmHomes } from "../jobs/wasm-homes.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { nodeKernels } from "../kernels/wasm/node.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { threadsFor, treatInThreads } from "./layer-pool.ts";
import { LocalBlobs } from "./local-blobs.ts";

/**
 * Bytes that a running model may take in this process: a gibibyte; one that does not fit is run in segments that take no more
 * than the rest of a job does.
 */
export const RUN_MEMORY: RunMemory = { whole: 2 ** 30, segments: 32 * 2 ** 20 };

export type OnProgress = (step: string, progress: number, weights?: WeightsDone) => void;

/** Bytes of weights that are treated in less time than threads take to start. */
const WORTH_THREADS = 2 ** 20;

/**
 * Runs a job on this machine: blobs are files in a temporary folder, inputs are read where they lie, steps run
 * once. `dispose` removes the folder; so does Ctrl-C.
 */
export class LocalHost implements JobHost {
  readonly blobs: LocalBlobs;
  readonly memory: RunMemory;
  private readonly onProgress: OnProgress;
  private readonly folder: string;
  private readonly interrupted: () => void;
  private readonly homes = new WasmHomes(nodeRuntime, nodeKernels);

  private constructor(folder: string, onProgress: OnProgress, memory: RunMemory) {
    this.memory = memory;
    this.folder = folder;
    this.blobs = new LocalBlobs(folder);
    this.onProgress = onProgress;
    this.interrupted = () => {
      rmSync(folder, { recursive: true, force: true });
      process.exit(130);
    };
    process.once("SIGINT", this.interrupted);
    process.once("SIGTERM", this.interrupted);
  }

  /** @param memory bytes that a running model may take */
  static async create(onProgress: OnProgress, memory = RUN_MEMORY): Promise<LocalHost> {
    return new LocalHost(await mkdtemp(join(tmpdir(), "hone-")), onProgress, memory);
  }

  /** A step's result goes through JSON, as in the durable workflow, so that both hosts hand on the same value. */
  async step<T extends Json>(_name: string, run: () => Promise<T>): Promise<T> {
    return JSON.parse(JSON.stringify(await run())) as T;
  }

  async report(step: string, progress: number, weights?: WeightsDone): Promise<void> {
    this.onProgress(step, progress, weights);
  }

  /** In a thread a core; in this one where there is little to do, a single core, or an input that lies in no file. */
  async treatLayers(work: LayerWork): Promise<void> {
    const { prefix, bytes } = work;
    const inputs = this.blobs.places();
    const tell = await layerProgress(work, this);
    const weights = bytes.reduce((sum, one) => sum + one, 0);
    if (weights < WORTH_THREADS || threadsFor(bytes.length) < 2 || inputs === null) {
      return treatInTurn(work, this, tell);
    }
    await treatInThreads({ folder: this.folder, inputs, prefix }, bytes.length, tell);
  }

  runtime(): Promise<Runtime> {
    return this.homes.runtime();
  }

  kernels(): Promise<Kernels> {
    return this.homes.kernels();
  }

  wasmBytes(): number {
    return this.homes.bytes();
  }

  async now(): Promise<number> {
    return performance.now();
  }

  async dispose(): Promise<void> {
    process.removeListener("SIGINT", this.interrupted);
    process.removeListener("SIGTERM", this.interrupted);
    await this.blobs.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
