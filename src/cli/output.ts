import { createWriteStream } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { FailedError } from "./errors.ts";
import { reason } from "./file-source.ts";

/**
 * Writes a whole file by way of a neighbour, so that no half file is left under the name.
 * @param named what the user knows it by
 */
export async function writeOutput(
  path: string,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
  named = path,
): Promise<void> {
  const part = `${path}.part`;
  try {
    if (typeof content === "string" || content instanceof Uint8Array) await writeFile(part, content);
    else await pipeline(content, createWriteStream(part));
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    if (isFileError(error)) throw new FailedError("file", `cannot write ${named}: ${reason(error)}`);
    throw error;
  }
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

function isFileError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}
