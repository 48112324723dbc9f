import { createHash } from "node:crypto";
import { randomDigits } from "./ids.ts";

const KEY = /^hone_sk_[0-9a-z]{40}$/;

/** A new API key: `hone_sk_` and 206 random bits. Shown once; only its hash is stored. */
export function newKey(): string {
  return `hone_sk_${randomDigits(40)}`;
}

/** Whether the text has the form of a key, so that anything else costs no look into the database. */
export function isKey(text: string): boolean {
  return KEY.test(text);
}

/** SHA-256 in hex. The key is random and long, so that a plain hash is as strong as the key. */
export function hashKey(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

/**
 * SQL that makes an account and its key, for `wrangler d1 execute`. Running it again changes nothing.
 * @param account id of the account: `acc_` and 24 characters of [0-9a-z]
 */
export function insertKeySql(account: string, name: string, key: string, now: number): string {
  if (!/^acc_[0-9a-z]{24}$/.test(account)) throw new RangeError(`${account} is no account id`);
  if (!isKey(key)) throw new RangeError("the key must come from newKey()");
  const quoted = `'${name.replaceAll("'", "''")}'`;
  return [
    `INSERT OR IGNORE INTO accounts (id, name, created_at) VALUES ('${account}', ${quoted}, ${now});`,
    `INSERT OR IGNORE INTO api_keys (hash, account_id, hint, created_at) VALUES ('${hashKey(key)}', '${account}', '${key.slice(-4)}', ${now});`,
  ].join("\n");
}
