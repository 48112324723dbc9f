import { sourceOf } from "../onnx/source.ts";
import type { TensorArray } from "../onnx/tensor-value.ts";
import type { Blobs, CompressionJob } from "./job.ts";

/** The numbers with which a treated layer is tried: its weight as the model stores it, and its bias where that moves. */
export interface TrialWeights {
  readonly weight: TensorArray;
  readonly bias: Float32Array | null;
}

interface Place {
  readonly layer: number;
  readonly candidate: number;
}

/** Numbers, not text. */
type NumberArray = Exclude<TensorArray, readonly string[]>;

function trialKey(job: Pick<CompressionJob, "prefix">, { layer, candidate }: Place): string {
  return `${job.prefix}trials/${layer}/${candidate}`;
}

/** Weight, then bias, both as they lie in memory (little-endian on every host). */
export async function putTrial(
  blobs: Blobs,
  job: Pick<CompressionJob, "prefix">,
  place: Place,
  { weight, bias }: TrialWeights,
): Promise<void> {
  const parts = [weight as NumberArray, ...(bias ? [bias] : [])].map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  );
  await blobs.put(trialKey(job, place), sourceOf(parts));
}

/** @param like the weight as it was, which tells the type and the number of its elements */
export async function readTrial(
  blobs: Blobs,
  job: Pick<CompressionJob, "prefix">,
  place: Place,
  like: TensorArray,
): Promise<TrialWeights> {
  const source = await blobs.open(trialKey(job, place));
  // A copy of its own, which begins where its buffer does.
  const { buffer } = (await source.read(0, source.size)).slice();
  const { byteLength, length, constructor: type } = like as NumberArray;
  const NumbersOf = type as new (buffer: ArrayBuffer, at: number, length: number) => NumberArray;
  return {
    weight: new NumbersOf(buffer, 0, length),
    bias: source.size > byteLength ? new Float32Array(buffer.slice(byteLength)) : null,
  };
}
