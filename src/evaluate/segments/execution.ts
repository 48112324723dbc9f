import type { Runtime } from "../../runtime/runtime.ts";

/** How models are run on a host. */
export interface Execution {
  readonly runtime: Runtime;
  /**
   * Bytes that a model and what it computes may take while it runs. One that would take more is run in segments, and
   * one quarter of them is for values between segments.
   */
  readonly memory: number;
  /** Where values between segments go that do not fit; null keeps them all in memory. */
  readonly scratch: Scratch | null;
}

/** Bytes that are put aside for a while. */
export interface Scratch {
  /** @returns a key to ask for them by */
  put(bytes: Uint8Array): Promise<string>;
  get(key: string): Promise<Uint8Array>;
  drop(key: string): Promise<void>;
}

/** All models are run whole. */
export function whole(runtime: Runtime): Execution {
  return { runtime, memory: Number.POSITIVE_INFINITY, scratch: null };
}
