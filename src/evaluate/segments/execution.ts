import type { Runtime } from "../../runtime/runtime.ts";

/** How models are run on a host. */
export interface Execution {
  readonly runtime: Runtime;
  readonly memory: RunMemory;
  /** Where values between segments go that do not fit; null keeps them all in memory. */
  readonly scratch: Scratch | null;
}

/** Bytes that running models may take. */
export interface RunMemory {
  /** A model that would take more, with what it computes, is run in segments. */
  readonly whole: number;
  /** Of one that does not fit: a segment with what it computes, and for a quarter values between segments. */
  readonly segments: number;
}

/** Bytes that are put aside for a while. */
export interface Scratch {
  /** @returns a key to ask for them by */
  put(bytes: Uint8Array): Promise<string>;
  get(key: string): Promise<Uint8Array>;
  drop(key: string): Promise<void>;
}

/** So many bytes for a model, whole or in segments. */
export function atMost(bytes: number): RunMemory {
  return { whole: bytes, segments: bytes };
}

/** Of a run in segments, bytes for values between them; the rest is for the segment that is loaded. */
export function betweenBytes({ segments }: RunMemory): number {
  return segments / 4;
}

/** All models are run whole. */
export function whole(runtime: Runtime): Execution {
  return { runtime, memory: atMost(Number.POSITIVE_INFINITY), scratch: null };
}
