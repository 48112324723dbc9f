/**
 * Where things lie in the R2 bucket. Everything of an account is under its own prefix, uploads are addressed by
 * their content within it, so that equal files are stored once and nothing is shared between accounts.
 *
 *   accounts/{account}/sha256/{hex}              a file of a model, or samples; lives while a row names it
 *   accounts/{account}/models/{model}/layers.json  the layers of a model; lives as long as its row
 *   accounts/{account}/incoming/{id}             a body that is still arriving; deleted at its end, or after 24 hours
 *   accounts/{account}/jobs/{compression}/…      what a job writes: its intermediate objects until it ends, artifact,
 *                                                report and plan until the job expires or is deleted
 */
export const ACCOUNTS = "accounts/";

export function contentKey(account: string, sha256: string): string {
  return `${ACCOUNTS}${account}/sha256/${sha256}`;
}

export function layersKey(account: string, model: string): string {
  return `${ACCOUNTS}${account}/models/${model}/layers.json`;
}

export function incomingKey(account: string, id: string): string {
  return `${ACCOUNTS}${account}/incoming/${id}`;
}

export function jobPrefix(account: string, compression: string): string {
  return `${ACCOUNTS}${account}/jobs/${compression}/`;
}

export type ObjectOwner =
  | { readonly kind: "content" }
  | { readonly kind: "model"; readonly model: string }
  | { readonly kind: "incoming"; readonly id: string }
  | { readonly kind: "job"; readonly compression: string }
  | { readonly kind: "unknown" };

/** Who keeps an object alive. */
export function ownerOf(key: string): ObjectOwner {
  const [, , kind, id] = key.split("/");
  if (!id) return { kind: "unknown" };
  if (kind === "sha256") return { kind: "content" };
  if (kind === "models") return { kind: "model", model: id };
  if (kind === "incoming") return { kind: "incoming", id };
  if (kind === "jobs") return { kind: "job", compression: id };
  return { kind: "unknown" };
}
