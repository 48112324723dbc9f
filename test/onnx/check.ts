import { createHash } from "node:crypto";
import { openArchive } from "../../src/onnx/archive.ts";
import { ModelError, type ModelErrorCode } from "../../src/onnx/errors.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { type ByteSource, type Bytes, bytesSource, load } from "../../src/onnx/source.ts";
import { validateModel, validateSparseTensors } from "../../src/onnx/validate.ts";

/** Everything that an upload goes through. */
export async function check(upload: Uint8Array): Promise<Model> {
  const { main, external } = await openArchive(bytesSource(upload));
  const model = await readModel(main, { external });
  validateModel(model);
  await validateSparseTensors(model);
  return model;
}

/** The error with which a promise fails; fails itself on any other error, and on none. */
export async function modelErrorOf(promise: Promise<unknown>): Promise<ModelError> {
  const error = await promise.then(
    () => new Error("nothing was thrown"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ModelError) return error;
  throw error;
}

export async function codeOf(promise: Promise<unknown>): Promise<ModelErrorCode> {
  return (await modelErrorOf(promise)).code;
}

/** A source that counts what is read from it. */
export function counted(source: ByteSource): ByteSource & { reads: number; bytesRead: number } {
  const tracked = {
    size: source.size,
    reads: 0,
    bytesRead: 0,
    async read(offset: number, length: number) {
      tracked.reads++;
      tracked.bytesRead += length;
      return source.read(offset, length);
    },
  };
  return tracked;
}

/** A model as plain data, without origins; long payloads as their hash. Empty text is as good as none. */
export async function plain(value: unknown): Promise<unknown> {
  if (isBytes(value)) {
    const bytes = await load(value);
    return bytes.length > 64 ? createHash("sha256").update(bytes).digest("hex") : [...bytes];
  }
  if (Array.isArray(value)) return Promise.all(value.map(plain));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, field]) => field !== undefined && field !== "");
  return Object.fromEntries(
    await Promise.all(entries.map(async ([key, field]) => [key, await plain(field)] as const)),
  );
}

/** A deep copy, in which every object has lost its origin. */
export function withoutOrigins<T>(value: T): T {
  if (isBytes(value) || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutOrigins) as T;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, withoutOrigins(field)])) as T;
}

function isBytes(value: unknown): value is Bytes {
  return value instanceof Uint8Array || (typeof value === "object" && value !== null && "source" in value);
}
