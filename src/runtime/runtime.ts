import type { TensorValue } from "../onnx/tensor-value.ts";

/** Named values: what goes into a run, or comes out of it. */
export type Feeds = Readonly<Record<string, TensorValue>>;

/**
 * onnxruntime-web on some host. One interface for workerd, Node and browsers, all of them running the same WASM
 * bytes on one thread, so that the same model on the same input gives the same bits everywhere.
 */
export interface Runtime {
  /** For the report: "onnxruntime-web 1.30.0 (wasm, workerd)". */
  readonly name: string;
  /**
   * Loads a complete model (weights inside).
   * @throws RuntimeLoadError with the runtime's own message when it refuses the model.
   */
  load(model: Uint8Array, options?: LoadOptions): Promise<Session>;
}

export interface LoadOptions {
  /** Graph optimisation as users have it ("all"), or none, for comparing values that the file itself computes. */
  readonly optimization?: "all" | "none";
  /** "lean" runs slower in about half the heap (PLATFORM.md has the figures); the numbers are the same values. */
  readonly memory?: "lean";
}

export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** @throws RuntimeRunError when the model fails on these inputs. */
  run(feeds: Feeds): Promise<Feeds>;
  /** Gives the memory back; the session cannot be used afterwards. */
  release(): Promise<void>;
}
