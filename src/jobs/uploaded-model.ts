import type { ModelFile } from "../store/models.ts";
import type { StoredFile, StoredModel } from "./job.ts";

/** The files of a model, as its rows name them, as a job opens them. */
export function uploadedModel(files: readonly ModelFile[]): StoredModel {
  const main = files.find(({ path }) => path === "");
  if (!main) throw new Error("the model has no file of its own");
  const others = files.filter((file) => file !== main);
  return {
    ...storedFile(main),
    external: Object.fromEntries(others.map((file) => [file.path, storedFile(file)])),
  };
}

function storedFile({ objectKey, offset, bytes }: ModelFile): StoredFile {
  return { key: objectKey, range: { offset, length: bytes } };
}
