import type { ModelResource, ModelSummary } from "../../schemas/resources.ts";
import { digestOf } from "../jobs/digest.ts";
import { timestamp } from "../jobs/resource.ts";
import { modelAmong, openArchive } from "../onnx/archive.ts";
import { inspectModel } from "../onnx/inspect.ts";
import { readModel } from "../onnx/read.ts";
import type { ByteSource } from "../onnx/source.ts";
import { validateModel, validateSparseTensors } from "../onnx/validate.ts";
import { newId } from "../store/ids.ts";
import { type ModelFile, type ModelRow, splitModel } from "../store/models.ts";
import { contentKey, fileKey, layersKey } from "../store/object-keys.ts";
import type { Store } from "../store/store.ts";
import { ProblemError } from "./problem.ts";

/** An isolate has 128 MB; a hostile skeleton grows several times over when it is parsed. */
const ISOLATE_LIMITS = { skeletonBytes: 16 * 2 ** 20, items: 2_000_000 };

/** A file that has arrived. */
export interface Arrived {
  readonly source: ByteSource;
  /** The object that it is, where that may be kept as it lies. */
  readonly objectKey: string | null;
  /** As the caller announced it, in hex. */
  readonly sha256: string | null;
}

/** A model that has arrived: as a file, which may be an archive, or with the files beside it. */
export type ArrivedModel = (
  | { readonly kind: "file"; readonly file: Arrived }
  | { readonly kind: "folder"; readonly files: ReadonlyMap<string, Arrived> }
) & {
  /** The upload that it completes; null for the body of a request. */
  readonly upload: string | null;
};

/** The body of a request, which is deleted at its end. */
export async function arrivedFile(store: Store, key: string): Promise<ArrivedModel> {
  const source = await store.objects.open(key);
  return { kind: "file", file: { source, objectKey: null, sha256: null }, upload: null };
}

/**
 * Files from this size on stay where they arrived, with all that lies in them as it is, and are not looked for among those that are
 * there already.
 */
const LARGE = 64 * 2 ** 20;

/**
 * Checks an uploaded model and keeps it. Nothing of one that is refused stays behind, but for the objects that arrived.
 * @throws ModelError that says what is wrong with the file, ProblemError where it is not what was announced
 */
export async function storeModel(
  store: Store,
  account: string,
  arrived: ArrivedModel,
  name: string | null,
  now: number,
): Promise<ModelResource> {
  const files = arrived.kind === "file" ? [arrived.file] : [...arrived.files.values()];
  const whole = arrived.kind === "file" ? await openArchive(arrived.file.source) : folder(arrived.files);
  const isArchive = arrived.kind === "file" && whole.main !== arrived.file.source;
  if (isArchive && files[0]!.sha256 !== null) await checkedDigest(files[0]!.source, files[0]!.sha256);
  const external = new UsedFiles(whole.external);
  const model = await readModel(whole.main, { external, limits: ISOLATE_LIMITS });
  validateModel(model);
  await validateSparseTensors(model);
  const summary = await inspectModel(model);
  const id = newId("mdl", now);
  const large = new Set(files.filter(({ source }) => source.size >= LARGE).map(({ objectKey }) => objectKey));
  const used = [["", whole.main] as const, ...external.used].map(([path, source]): FileToKeep => {
    const { blob } = source;
    const announced = files.find((one) => one.source === source)?.sha256 ?? null;
    return { path, source, announced, place: blob && large.has(blob.key) ? blob : null };
  });
  // All that can be refused is refused before anything is written.
  const digests: (string | null)[] = [];
  for (const file of used) {
    digests.push(needsDigest(file) ? await checkedDigest(file.source, file.announced) : null);
  }
  const kept: ModelFile[] = [];
  let sha256 = "";
  for (const [i, file] of used.entries()) {
    const stored = await keepFile(store, account, file, digests[i]!, `${id}-${i}`);
    if (file.path === "") sha256 = stored.sha256!;
    kept.push({ path: file.path, objectKey: stored.key, offset: stored.offset, bytes: file.source.size });
  }
  const { head, layers } = splitModel(summary);
  await store.objects.putBytes(layersKey(account, id), JSON.stringify(layers));
  const row: ModelRow = { id, accountId: account, name, sha256, head, createdAt: now };
  await store.models.insert(row, kept, arrived.upload);
  const keys = new Set(kept.map(({ objectKey }) => objectKey));
  await store.objects.delete(
    files.flatMap(({ objectKey }) => (objectKey === null || keys.has(objectKey) ? [] : [objectKey])),
  );
  return modelResource(row, layers);
}

function folder(files: ReadonlyMap<string, Arrived>) {
  return modelAmong([...files].map(([path, { source }]) => ({ path, source })));
}

/** The files beside a model, remembering which of them it names: nothing else of an archive is written. */
class UsedFiles extends Map<string, ByteSource> {
  readonly used = new Map<string, ByteSource>();

  override get(path: string): ByteSource | undefined {
    const file = super.get(path);
    if (file) this.used.set(path, file);
    return file;
  }
}

/** A file that a model is made of. */
interface FileToKeep {
  readonly path: string;
  readonly source: ByteSource;
  /** Its SHA-256 as the caller said it, in hex. */
  readonly announced: string | null;
  /** Where it stays; null where it has to be written. */
  readonly place: { readonly key: string; readonly offset: number } | null;
}

/**
 * Whether a file is read for its digest before it is kept: where one was announced, where its key is made of it, and for the model's
 * own file, whose digest is the model's. A large one is hashed as it is written.
 */
function needsDigest({ path, source, announced, place }: FileToKeep): boolean {
  if (announced !== null) return true;
  return place === null ? source.size < LARGE : path === "";
}

/** Leaves a file where it lies, or writes it: under the key that its content gives it, a large one under a key of its own. */
async function keepFile(
  store: Store,
  account: string,
  { source, place }: FileToKeep,
  digest: string | null,
  id: string,
): Promise<{ key: string; offset: number; sha256: string | null }> {
  if (place !== null) return { ...place, sha256: digest };
  if (digest === null) {
    const key = fileKey(account, id);
    return { key, offset: 0, sha256: await store.objects.put(key, source) };
  }
  const key = contentKey(account, digest);
  await store.objects.put(key, source);
  return { key, offset: 0, sha256: digest };
}

async function checkedDigest(source: ByteSource, announced: string | null): Promise<string> {
  const actual = await digestOf(source);
  if (announced !== null && actual !== announced) {
    throw new ProblemError(
      "checksum_mismatch",
      `The SHA-256 of what arrived is ${actual}, not ${announced}.`,
    );
  }
  return actual;
}

export function modelResource(row: ModelRow, layers: ModelSummary["layers"]): ModelResource {
  return { ...modelListItem(row), layers };
}

export function modelListItem(row: ModelRow) {
  return {
    id: row.id,
    object: "model" as const,
    name: row.name,
    sha256: row.sha256,
    ...row.head,
    created_at: timestamp(row.createdAt),
  };
}
