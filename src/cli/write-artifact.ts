import { rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { openArchive } from "../onnx/archive.ts";
import { chunksOf } from "../onnx/source.ts";
import { openFile } from "./file-source.ts";
import { writeOutput } from "./output.ts";

/**
 * Writes the artifact under the name that was asked for. One past 2 GiB comes as an archive: its data goes beside it, under
 * the name by which the model asks for it.
 */
export async function writeArtifact(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const arrived = `${path}.arrived`;
  try {
    await writeOutput(arrived, content, path);
    const file = await openFile(arrived);
    try {
      const { main, external } = await openArchive(file);
      if (main === file) return await rename(arrived, path);
      for (const [name, data] of external) await writeOutput(join(dirname(path), name), chunksOf(data));
      await writeOutput(path, chunksOf(main));
    } finally {
      await file.close();
    }
  } finally {
    await rm(arrived, { force: true });
  }
}
