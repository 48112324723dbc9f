import { makeReference, type Reference, type ReferenceLimits } from "../evaluate/reference.ts";
import { type Executable, executable } from "../evaluate/segments/executable.ts";
import type { Execution } from "../evaluate/segments/execution.ts";
import type { Model } from "../onnx/model.ts";
import { BlobScratch } from "./blob-scratch.ts";
import type { Blobs, CompressionJob, JobHost, StoredModel } from "./job.ts";
import { readStored } from "./stored-model.ts";

/** Multiply-accumulates that one pass over the samples may take: some seconds in onnxruntime-web on one thread. */
const PASS_MACS = 32e9;
/** Made-up inputs are alike; more of them tell little more. */
const SYNTHETIC = { least: 1, most: 8 };

/**
 * What the steps of one job work on, each opened when first needed. Nothing here is the result of a step: after a
 * restart the same inputs are opened again, to the same values.
 */
export class Workbench {
  readonly upload = lazy(() => readStored(this.#blobs, this.#job.model));
  private readonly simplified = lazy(() => readStored(this.#blobs, this.stored("simplified")));
  /** How models of this job are run. */
  readonly execution = lazy(() => this.#execution());
  /** The upload's answers to the samples. */
  readonly reference = lazy(() => this.#makeReference());
  readonly simplifiedKey: string;
  readonly #job: CompressionJob;
  readonly #host: JobHost;
  readonly #blobs: Blobs;
  /** Of one run of the upload; null where they cannot be counted. */
  readonly #macs: number | null;

  constructor(job: CompressionJob, host: JobHost, blobs: Blobs, macs: number | null) {
    this.#job = job;
    this.#host = host;
    this.#blobs = blobs;
    this.#macs = macs;
    this.simplifiedKey = `${job.prefix}simplified.onnx`;
  }

  /** The model that the methods start from. */
  base(which: "simplified" | "upload"): Promise<Model> {
    return which === "upload" ? this.upload() : this.simplified();
  }

  /** Where the model lies that the methods start from. */
  stored(which: "simplified" | "upload"): StoredModel {
    return which === "upload" ? this.#job.model : { key: this.simplifiedKey, range: null, external: null };
  }

  /** A model of this job as something that can be run here. */
  async run(model: Model): Promise<Executable> {
    return executable(model, await this.execution());
  }

  async #execution(): Promise<Execution> {
    const { memory } = this.#host;
    const scratch = new BlobScratch(this.#blobs, `${this.#job.prefix}between/`);
    return { runtime: await this.#host.runtime(), memory, scratch };
  }

  async #makeReference(): Promise<Reference> {
    const { calibration } = this.#job;
    const model = await this.upload();
    const samples = calibration && (await this.#blobs.open(calibration.key));
    return makeReference({
      model,
      original: await this.run(model),
      calibration: samples && {
        bytes: await samples.read(0, samples.size),
        format: calibration!.format,
      },
      limits: sampleLimits(this.#macs),
    });
  }
}

/** By counted work and not by the clock, so that every host takes the same samples. */
function sampleLimits(macs: number | null): Partial<ReferenceLimits> {
  const affordable = Math.floor(PASS_MACS / Math.max(1, macs ?? 0));
  return { macs: PASS_MACS, synthetic: Math.max(SYNTHETIC.least, Math.min(SYNTHETIC.most, affordable)) };
}

/** A value that is made when it is first asked for. */
export interface Lazy<T> {
  (): Promise<T>;
  /** The value, where it was asked for. */
  made?: Promise<T>;
}

/** The value of the first call for all later ones. A failure is not kept. */
export function lazy<T>(make: () => Promise<T>): Lazy<T> {
  const get: Lazy<T> = () => {
    get.made ??= make().catch((error) => {
      delete get.made;
      throw error;
    });
    return get.made;
  };
  return get;
}
