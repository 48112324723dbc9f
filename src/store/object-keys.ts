/**
 * Where things lie in the R2 bucket. Everything of an account is under its own prefix, uploads are addressed by
 * their content within it, so that equal files are stored once and nothing is shared between accounts.
 *
 *   accounts/{account}/…
 *     sha256/{hex}                a file of a model, or samples                 while a row names it
 *     files/{id}                  a large file of a model                       while a row names it
 *     …/parts/{n}                 parts of any of these that is large           as long as it; of an upload, 24 hours
 *     models/{model}/layers.json  the layers of a model                         as long as its row
 *     incoming/{id}               a body that is still arriving                 its request, or 24 hours
 *     jobs/{compression}/…        what a job writes:
 *       artifact.onnx, report.json, plan.json   its results                     30 days, or until it is deleted
 *       steps/{name}              what a step has come to                       until the job ends
 *       simplified.onnx, pruned.onnx, readable.onnx   models on the way         until the job ends
 *       moments/…, bases/…        what was seen of inputs, what layers share    until the job ends
 *       layers.json               what a treatment needs to know                until the job ends
 *       layers/{i}/{candidate}    results of layer i                            until the job ends
 *       trials/{i}/{candidate}    the numbers with which they are tried         until the job ends
 *       treated/{i}               that layer i is done, and its choices         until the job ends
 *       layers-failed.json        why a layer has failed the job                until the job ends
 *
 * A job's end, however it comes, deletes what lives until then; the sweep deletes it once more 15 minutes later, for what was written
 * late. Whatever nothing names is deleted a day after it was written.
 */
export const ACCOUNTS = "accounts/";
const FILES = "files";

export function contentKey(account: string, sha256: string): string {
  return `${ACCOUNTS}${account}/sha256/${sha256}`;
}

export function layersKey(account: string, model: string): string {
  return `${ACCOUNTS}${account}/models/${model}/layers.json`;
}

export function fileKey(account: string, id: string): string {
  return `${ACCOUNTS}${account}/${FILES}/${id}`;
}

/** Under which the parts of a file lie, where it lies in parts. */
export function partsPrefix(file: string): string {
  return `${file}/parts/`;
}

/** A part of the file, by its number from 1. */
export function partKey(file: string, part: number): string {
  return `${partsPrefix(file)}${part}`;
}

/** The file that an object is, or is a part of. */
export function fileOf(key: string): string {
  return key.replace(/\/parts\/\d+$/, "");
}

export function incomingKey(account: string, id: string): string {
  return `${ACCOUNTS}${account}/incoming/${id}`;
}

export function jobPrefix(account: string, compression: string): string {
  return `${ACCOUNTS}${account}/jobs/${compression}/`;
}

export type ObjectOwner =
  /** Whoever names the file of this key, which the object is or is a part of. */
  | { readonly kind: "content"; readonly file: string }
  | { readonly kind: "model"; readonly model: string }
  | { readonly kind: "incoming"; readonly id: string }
  | { readonly kind: "job"; readonly compression: string }
  | { readonly kind: "unknown" };

/** Who keeps an object alive. */
export function ownerOf(key: string): ObjectOwner {
  const [, account, kind, id] = key.split("/");
  if (!account || !id) return { kind: "unknown" };
  if (kind === "sha256" || kind === FILES) return { kind: "content", file: fileOf(key) };
  if (kind === "models") return { kind: "model", model: id };
  if (kind === "incoming") return { kind: "incoming", id };
  if (kind === "jobs") return { kind: "job", compression: id };
  return { kind: "unknown" };
}
