import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type ByteSource, filledSource } from "../onnx/source.ts";
import { FailedError } from "./errors.ts";

/** A file on disk, read by positional ranges. */
export interface FileSource extends ByteSource {
  close(): Promise<void>;
}

/** @throws FailedError that names the path when it is missing, a folder, or not readable. */
export async function openFile(path: string): Promise<FileSource> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY);
  } catch (error) {
    throw new FailedError("file", `cannot read ${path}: ${reason(error)}`);
  }
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw new FailedError("file", `cannot read ${path}: it is no file`);
  }
  const { size } = stat;
  const fill = async (offset: number, target: Uint8Array) => {
    const { byteLength } = target;
    let filled = 0;
    while (filled < byteLength) {
      const { bytesRead } = await handle.read(target, filled, byteLength - filled, offset + filled);
      if (bytesRead === 0) throw new FailedError("file", `${path} became shorter while it was read`);
      filled += bytesRead;
    }
  };
  return { ...filledSource(size, fill), file: { path, offset: 0 }, close: () => handle.close() };
}

/** The whole file. @throws FailedError as openFile. */
export async function contentOf(path: string): Promise<Uint8Array> {
  const file = await openFile(path);
  try {
    return await file.read(0, file.size);
  } finally {
    await file.close();
  }
}

/** The reason of a file error without Node's prefix: "no such file or directory". */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const match = /^E[A-Z]+: ([^,]+)/.exec(error.message);
  return match?.[1] ?? error.message;
}
