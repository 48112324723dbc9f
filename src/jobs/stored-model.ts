import { openArchive } from "../onnx/archive.ts";
import { linkTensors } from "../onnx/linked.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read.ts";
import { type ByteSource, checkRange, rangeSource, readInto, type Span } from "../onnx/source.ts";
import { inOrder, validateModel } from "../onnx/validate.ts";
import { encodeModel } from "../onnx/write.ts";
import type { Blobs, StoredFile, StoredModel } from "./job.ts";
import { putBytes } from "./put-bytes.ts";

/** A part of a blob that a stored model takes payloads from, under the location of its place in the list. */
interface Link {
  readonly blob: string;
  readonly offset: number;
  readonly size: number;
}

/**
 * Keeps a model that is on its way: its graph as a file of its own, its weights where they lie already. A step that
 * changes the graph of many gigabytes writes some kilobytes. Lives no longer than the blobs that it names.
 */
export async function storeModel(blobs: Blobs, key: string, model: Model): Promise<StoredModel> {
  const links: Link[] = [];
  const places = new Map<string, string>();
  const linked = linkTensors(model, (span: Span) => {
    const { blob, size } = span.source;
    if (blob === undefined) return undefined;
    // Payloads are counted from the start of their source, which may be a part of the blob.
    const place = `${blob.offset} ${size} ${blob.key}`;
    const location = places.get(place) ?? String(links.length);
    if (!places.has(place)) links.push({ blob: blob.key, offset: blob.offset, size });
    places.set(place, location);
    return { location, span };
  });
  await putBytes(blobs, linksKey(key), new TextEncoder().encode(JSON.stringify(links)));
  await blobs.put(key, encodeModel(linked, "named"));
  return { key, range: null, external: null };
}

/** Reads and validates an upload, or what {@link storeModel} has written; its nodes are in an order in which they can run. */
export async function readStored(blobs: Blobs, stored: StoredModel): Promise<Model> {
  const opened = new Map<string, ByteSource>();
  for (const [location, file] of Object.entries(stored.external ?? {})) {
    opened.set(location, await openStored(blobs, file));
  }
  return read(await openStored(blobs, stored), stored.external ? opened : await linksOf(blobs, stored.key));
}

/** Opens a file where it lies. */
export async function openStored(blobs: Blobs, { key, range }: StoredFile): Promise<ByteSource> {
  const blob = await blobs.open(key);
  return range === null ? blob : rangeSource(blob, range.offset, range.length);
}

async function linksOf(blobs: Blobs, key: string): Promise<ReadonlyMap<string, ByteSource>> {
  const list = await blobs.open(linksKey(key));
  const links = JSON.parse(new TextDecoder().decode(await list.read(0, list.size))) as Link[];
  return new Map(links.map((link, i) => [String(i), linkedSource(blobs, link)]));
}

/** Reads and validates a finished artifact, which is an archive where it is too large for one file. */
export async function readArtifact(blobs: Blobs, key: string): Promise<Model> {
  const { main, external } = await openArchive(await blobs.open(key));
  return read(main, external);
}

async function read(source: ByteSource, external: ReadonlyMap<string, ByteSource>): Promise<Model> {
  const model = await readModel(source, { external });
  validateModel(model);
  return inOrder(model);
}

/** Opened when it is first read: a model names a blob for each of its layers, and most steps read few of them. */
function linkedSource(blobs: Blobs, { blob: key, offset, size }: Link): ByteSource {
  let opening: Promise<ByteSource> | undefined;
  const opened = () => {
    opening ??= blobs.open(key);
    return opening;
  };
  return {
    blob: { key, offset },
    size,
    async read(at, length) {
      checkRange(at, length, size);
      return (await opened()).read(offset + at, length);
    },
    async readInto(at, target) {
      checkRange(at, target.byteLength, size);
      await readInto(await opened(), offset + at, target);
    },
  };
}

function linksKey(key: string): string {
  return `${key}.links`;
}
