import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** The trained models and data sets, which lie beside the checkout or where HONE_MODELS says. */
const SHARED = process.env.HONE_MODELS ?? join(ROOT, "../shared/models");

/** Why files of the shared folder cannot be used here, for `test.skipIf`'s message; null where they can. */
export function sharedMissing(file: string): string | null {
  return existsSync(join(SHARED, file))
    ? null
    : `${file} is not in ${process.env.HONE_MODELS ?? "../shared/models"}; set HONE_MODELS to the folder that has it`;
}

export function sharedBytes(file: string): Promise<Uint8Array> {
  return bytesOf(join(SHARED, file));
}

/** Bytes of a file below node_modules. */
export function packageBytes(path: string): Promise<Uint8Array> {
  return bytesOf(join(ROOT, "node_modules", path));
}

async function bytesOf(path: string): Promise<Uint8Array> {
  const file = await readFile(path);
  return new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
}
