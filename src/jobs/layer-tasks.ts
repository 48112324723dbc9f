import type { Recipe } from "../../schemas/recipe.ts";
import { CountedBlobs } from "./counted-blobs.ts";
import { failureOf, JobFailure } from "./failures.ts";
import type { Blobs, JobHost, StoredModel } from "./job.ts";
import { LayerTable } from "./layer-table.ts";
import { putBytes } from "./put-bytes.ts";
import { costing, type StepCost } from "./step-log.ts";
import { readStored } from "./stored-model.ts";
import { leaveLayer, type TreatedChoices, type TreatFacts, treatLayer } from "./treat-layer.ts";

/** What a place that treats layers gives. */
export type TaskHost = Pick<JobHost, "blobs" | "kernels" | "wasmBytes" | "now">;

/** Everything that a place which knows nothing but the job's prefix has to be told of its layers. */
export type LayerFile = {
  readonly recipe: Recipe;
  readonly model: StoredModel;
  readonly facts: TreatFacts;
};

/** A treated layer and what it cost. */
export type LayerOutcome = { readonly value: TreatedChoices; readonly cost: StepCost };

type Prefixed = { readonly prefix: string };

function fileKey({ prefix }: Prefixed): string {
  return `${prefix}layers.json`;
}

/** Objects under it are the outcomes of layers, by their number: each is written last, so that who sees it sees all of its layer. */
export function treatedPrefix({ prefix }: Prefixed): string {
  return `${prefix}treated/`;
}

export function treatedKey(job: Prefixed, index: number): string {
  return `${treatedPrefix(job)}${index}`;
}

/** Writes what any place needs to treat any layer of the job. */
export async function writeLayerFile(blobs: Blobs, job: Prefixed, file: LayerFile): Promise<null> {
  await putJson(blobs, fileKey(job), file);
  return null;
}

export function readTreated(blobs: Blobs, job: Prefixed, index: number): Promise<LayerOutcome> {
  return readJson(blobs, treatedKey(job, index));
}

/** The layers of one job, for a place that treats some of them: an isolate with a message, a thread, the job's own process. */
export class LayerTasks {
  readonly count: number;
  readonly #job: Prefixed;
  readonly #host: TaskHost;
  readonly #blobs: CountedBlobs;
  readonly #table: LayerTable;
  readonly #file: LayerFile;

  private constructor(
    job: Prefixed,
    host: TaskHost,
    blobs: CountedBlobs,
    table: LayerTable,
    file: LayerFile,
  ) {
    this.count = table.layers.length;
    this.#job = job;
    this.#host = host;
    this.#blobs = blobs;
    this.#table = table;
    this.#file = file;
  }

  static async open(job: Prefixed, host: TaskHost): Promise<LayerTasks> {
    const blobs = new CountedBlobs(host);
    const file = await readJson<LayerFile>(blobs, fileKey(job));
    const model = await readStored(blobs, file.model);
    return new LayerTasks(job, host, blobs, await LayerTable.of(model, file.recipe), file);
  }

  /** Treats a layer and writes its outcome. Again it writes the same. */
  treat(index: number): Promise<void> {
    return this.#write(index, () => treatLayer(this.#context, index));
  }

  /** For a place where another attempt would come to the same. @throws JobFailure as {@link leave} does */
  async treatOrLeave(index: number): Promise<void> {
    try {
      await this.treat(index);
    } catch (error) {
      await this.leave(index, error, 1);
    }
  }

  /**
   * Ends the attempts at a layer: it stays as it was, and its outcome says why.
   * @throws JobFailure for what lies in the caller's input, and where the recipe wants every layer treated
   */
  async leave(index: number, cause: unknown, attempts: number): Promise<void> {
    const failure = failureOf(cause);
    if (failure) throw new JobFailure(failure);
    const { name } = this.#table.facts[index]!;
    // The message may tell of our side; the kind of the error does not.
    const kind = cause instanceof Error ? cause.name : "unknown error";
    const times = attempts === 1 ? "" : `, ${attempts} times`;
    if (this.#file.recipe.strict) {
      const message = `layer ${JSON.stringify(name)} could not be treated (${kind}${times}), and the recipe is strict`;
      throw new JobFailure({ code: "layer_failed", message });
    }
    const reason = `it could not be treated (${kind}${times}) and stays as it was`;
    await this.#write(index, () => leaveLayer(this.#context, index, reason));
  }

  get #context() {
    const { facts } = this.#file;
    return {
      job: this.#job,
      facts,
      table: this.#table,
      host: this.#host,
      blobs: this.#blobs,
      memory: this.#blobs.memory,
    };
  }

  async #write(index: number, work: () => Promise<TreatedChoices>): Promise<void> {
    const name = `treat ${index + 1} of ${this.count}`;
    const outcome: LayerOutcome = await costing(name, this.#host, this.#blobs, work);
    await putJson(this.#blobs, treatedKey(this.#job, index), outcome);
  }
}

async function putJson(blobs: Blobs, key: string, value: unknown): Promise<void> {
  await putBytes(blobs, key, new TextEncoder().encode(JSON.stringify(value)));
}

async function readJson<T>(blobs: Blobs, key: string): Promise<T> {
  const source = await blobs.open(key);
  return JSON.parse(new TextDecoder().decode(await source.read(0, source.size))) as T;
}
