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
   * Loads a complete model: weights inside, or beside it in `options.external`.
   * @throws RuntimeLoadError with the runtime's own message when it refuses the model.
   */
  load(model: Uint8Array, options?: LoadOptions): Promise<Session>;
  /**
   * Bytes of WASM memory that the runtime has taken; 0 before its first session. It never gives any back, so this
   * is the most that its sessions ever had at once, in this process or isolate.
   */
  memoryBytes(): number;
}

export interface LoadOptions {
  /** Graph optimisation as users have it ("all"), or none, for comparing values that the file itself computes. */
  readonly optimization?: "all" | "none";
  /**
   * "tight" takes memory only as it is needed, and gives the same bits. "lean" also keeps no packed copy of a matrix
   * beside the matrix: half the heap again, slower, and sums are taken in another order.
   */
  readonly memory?: "tight" | "lean";
  /**
   * Contents of the files that the model's external tensors lie in. Such a weight costs W bytes of heap less for every
   * W bytes than one inside the model.
   */
  readonly external?: readonly ExternalFile[];
}

export interface ExternalFile {
  /** As the tensors' `location` says. */
  readonly path: string;
  readonly data: Uint8Array;
}

export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** @throws RuntimeRunError when the model fails on these inputs. */
  run(feeds: Feeds): Promise<Feeds>;
  /** Gives the memory back; the session cannot be used afterwards. */
  release(): Promise<void>;
}
