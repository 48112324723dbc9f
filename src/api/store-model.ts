import { createHash } from "node:crypto";
import type { ModelResource, ModelSummary } from "../../schemas/resources.ts";
import { timestamp } from "../jobs/resource.ts";
import { openArchive } from "../onnx/archive.ts";
import { inspectModel } from "../onnx/inspect.ts";
import { readModel } from "../onnx/read.ts";
import type { ByteSource } from "../onnx/source.ts";
import { validateModel, validateSparseTensors } from "../onnx/validate.ts";
import { newId } from "../store/ids.ts";
import { type ModelFile, type ModelRow, splitModel } from "../store/models.ts";
import { contentKey, layersKey } from "../store/object-keys.ts";
import { chunksOf } from "../store/objects.ts";
import type { Store } from "../store/store.ts";

/** An isolate has 128 MB; a hostile skeleton grows several times over when it is parsed. */
const ISOLATE_LIMITS = { skeletonBytes: 16 * 2 ** 20, items: 2_000_000 };

/**
 * Checks an uploaded file and keeps it as a model. Nothing of a file that is refused stays behind.
 * @throws ModelError that says what is wrong with the file
 */
export async function storeModel(
  store: Store,
  account: string,
  source: ByteSource,
  name: string | null,
  now: number,
): Promise<ModelResource> {
  const archive = await openArchive(source);
  const { main } = archive;
  const external = new UsedFiles(archive.external);
  const model = await readModel(main, { external, limits: ISOLATE_LIMITS });
  validateModel(model);
  await validateSparseTensors(model);
  const summary = await inspectModel(model);
  const id = newId("mdl", now);
  const files: ModelFile[] = [];
  let sha256 = "";
  for (const [path, file] of [["", main] as const, ...external.used]) {
    const stored = await storeContent(store, account, file);
    if (path === "") sha256 = stored.sha256;
    files.push({ path, objectKey: stored.key, bytes: file.size });
  }
  const { head, layers } = splitModel(summary);
  await store.objects.putBytes(layersKey(account, id), JSON.stringify(layers));
  const row: ModelRow = { id, accountId: account, name, sha256, head, createdAt: now };
  await store.models.insert(row, files);
  return modelResource(row, layers);
}

/** The files beside a model, remembering which of them it names: the rest of an archive is not kept. */
class UsedFiles extends Map<string, ByteSource> {
  readonly used = new Map<string, ByteSource>();

  override get(path: string): ByteSource | undefined {
    const file = super.get(path);
    if (file) this.used.set(path, file);
    return file;
  }
}

/** Copies a file to the key that its content gives it. */
async function storeContent(store: Store, account: string, file: ByteSource) {
  const hash = createHash("sha256");
  for await (const chunk of chunksOf(file)) hash.update(chunk);
  const sha256 = hash.digest("hex");
  const key = contentKey(account, sha256);
  await store.objects.put(key, chunksOf(file), file.size);
  return { key, sha256 };
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
