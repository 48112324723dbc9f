import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdtemp, open, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Blobs, JobHost, Json } from "../jobs/job.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { nodeKernels } from "../kernels/wasm/node.ts";
import type { ByteSource } from "../onnx/source.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { FailedError } from "./errors.ts";
import { type FileSource, openFile } from "./file-source.ts";

export type OnProgress = (step: string, progress: number) => void;

/**
 * Runs a job in this process: blobs are files in a temporary folder, inputs are read where they lie, steps run
 * once. `dispose` removes the folder; so does Ctrl-C.
 */
export class LocalHost implements JobHost {
  readonly blobs: LocalBlobs;
  private readonly onProgress: OnProgress;
  private readonly folder: string;
  private readonly interrupted: () => void;
  private loading: Promise<Runtime> | null = null;
  private loadingKernels: Promise<Kernels> | null = null;

  private constructor(folder: string, onProgress: OnProgress) {
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

  static async create(onProgress: OnProgress): Promise<LocalHost> {
    return new LocalHost(await mkdtemp(join(tmpdir(), "hone-")), onProgress);
  }

  /** A step's result goes through JSON, as in the durable workflow, so that both hosts hand on the same value. */
  async step<T extends Json>(_name: string, run: () => Promise<T>): Promise<T> {
    return JSON.parse(JSON.stringify(await run())) as T;
  }

  async report(step: string, progress: number): Promise<void> {
    this.onProgress(step, progress);
  }

  runtime(): Promise<Runtime> {
    this.loading ??= nodeRuntime();
    return this.loading;
  }

  kernels(): Promise<Kernels> {
    this.loadingKernels ??= nodeKernels();
    return this.loadingKernels;
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

/** Nothing was written under the key. */
export class BlobMissingError extends FailedError {
  constructor(key: string) {
    super("blob_missing", `nothing is stored under ${key}`);
  }
}

/** Blobs as files of one folder; keys may also stand for sources that lie elsewhere. */
export class LocalBlobs implements Blobs {
  private readonly folder: string;
  private readonly mounted = new Map<string, ByteSource>();
  private readonly opened = new Map<string, { readonly file: FileSource; readonly source: ByteSource }>();

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Lets a key answer with a source that is read in place. */
  mount(key: string, source: ByteSource): void {
    this.mounted.set(key, named(source, key));
  }

  /** Where the bytes of a written key lie. */
  path(key: string): string {
    // A hash, because keys hold slashes and names from the model.
    return join(this.folder, createHash("sha256").update(key).digest("hex"));
  }

  async put(key: string, chunks: AsyncIterable<Uint8Array>, size: number): Promise<void> {
    const path = this.path(key);
    const file = await open(`${path}.part`, "w");
    let written = 0;
    try {
      for await (const chunk of chunks) {
        await file.writeFile(chunk);
        written += chunk.byteLength;
      }
    } finally {
      await file.close();
    }
    if (written !== size) throw new RangeError(`${key}: ${written} bytes came, ${size} were announced`);
    await this.opened.get(key)?.file.close();
    this.opened.delete(key);
    await rename(`${path}.part`, path);
  }

  async open(key: string): Promise<ByteSource> {
    const known = this.mounted.get(key) ?? this.opened.get(key)?.source;
    if (known) return known;
    const file = await openFile(this.path(key)).catch(() => {
      throw new BlobMissingError(key);
    });
    const source = named(file, key);
    this.opened.set(key, { file, source });
    return source;
  }

  async close(): Promise<void> {
    for (const { file } of this.opened.values()) await file.close();
    this.opened.clear();
  }
}

function named(source: ByteSource, blob: string): ByteSource {
  return { blob, size: source.size, read: (offset, length) => source.read(offset, length) };
}
