import { type ArchiveEntry, type ArchiveLimits, malformedArchive } from "./archive-entry.ts";
import { ModelError } from "./errors.ts";
import type { ByteSource } from "./source.ts";
import { isTar, tarEntries } from "./tar.ts";
import { isZip, zipEntries } from "./zip.ts";

const LIMITS: ArchiveLimits = { entries: 10_000, unpackedBytes: 16 * 2 ** 30 };

/** What macOS puts into archives beside the files. */
const JUNK = /(^|\/)(__MACOSX\/|\.DS_Store$|\._)/;

/**
 * Opens an upload: a .zip or .tar of one .onnx file and its external data, or the .onnx file itself. Nothing is
 * unpacked in advance: stored entries are ranges of the archive, deflated ones are inflated as they are read.
 * `external` has the files beside and below the model by their paths relative to it.
 * @throws ModelError `archive_…`.
 */
export async function openArchive(
  source: ByteSource,
  limits: Partial<ArchiveLimits> = {},
): Promise<{ main: ByteSource; external: Map<string, ByteSource> }> {
  const bounds = { ...LIMITS, ...limits };
  if (source.size === 0) return { main: source, external: new Map() };
  const head = await source.read(0, Math.min(512, source.size));
  let entries: ArchiveEntry[];
  if (isZip(head)) entries = await zipEntries(source, bounds);
  else if (isTar(head)) entries = await tarEntries(source, bounds);
  else return { main: source, external: new Map() };

  return modelAmong(entries.filter(({ path }) => !JUNK.test(path)));
}

/**
 * The one .onnx file among files of a folder, and the files beside and below it by their paths relative to it.
 * @throws ModelError `archive_…`.
 */
export function modelAmong(files: readonly ArchiveEntry[]): {
  main: ByteSource;
  external: Map<string, ByteSource>;
} {
  for (const { path } of files) checkPath(path);
  const models = files.filter(({ path }) => /\.onnx$/i.test(path));
  const model = models[0];
  if (model === undefined) {
    throw new ModelError(
      "archive_without_model",
      "the archive holds no .onnx file; put the model and its external data into it (a PyTorch checkpoint is such an archive, too: export it with torch.onnx.export)",
    );
  }
  if (models.length > 1) {
    throw new ModelError(
      "archive_with_several_models",
      `the archive holds ${models.length} .onnx files (${models
        .slice(0, 3)
        .map(({ path }) => `"${path}"`)
        .join(", ")}); put exactly one into it`,
    );
  }
  const folder = model.path.slice(0, model.path.lastIndexOf("/") + 1);
  const external = new Map<string, ByteSource>();
  for (const file of files) {
    if (file === model || !file.path.startsWith(folder)) continue;
    const path = file.path.slice(folder.length);
    if (external.has(path)) throw malformedArchive(`has two entries named "${file.path}"`);
    external.set(path, file.source);
  }
  return { main: model.source, external };
}

function checkPath(path: string): void {
  const unsafe =
    path.startsWith("/") || path.includes("\\") || path.includes("\0") || /^[A-Za-z]:/.test(path);
  if (unsafe || path.split("/").some((part) => part === ".." || part === "")) {
    throw new ModelError(
      "archive_entry_name",
      `the archive has an entry named "${path}", which is not a path inside it; pack it again from the model's folder`,
    );
  }
}
