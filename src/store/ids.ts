import { createHash } from "node:crypto";

export type IdPrefix = "acc" | "mdl" | "cal" | "cmp" | "upl" | "whe" | "evt" | "dlv" | "req";

/** 9 digits of base 36 hold milliseconds until the year 5188. */
const TIME_DIGITS = 9;
const RANDOM_DIGITS = 15;
const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz";

/** `mdl_` and 24 characters: the time, then 77 random bits, so that ids sort by age. */
export function newId(prefix: IdPrefix, now: number): string {
  return `${prefix}_${now.toString(36).padStart(TIME_DIGITS, "0")}${randomDigits(RANDOM_DIGITS)}`;
}

/** The same id for the same time and parts, so that a step that runs twice names the same thing twice. */
export function derivedId(prefix: IdPrefix, time: number, ...parts: string[]): string {
  const digest = createHash("sha256").update(JSON.stringify(parts)).digest("hex");
  const digits = BigInt(`0x${digest}`).toString(36).slice(-RANDOM_DIGITS).padStart(RANDOM_DIGITS, "0");
  return `${prefix}_${time.toString(36).padStart(TIME_DIGITS, "0")}${digits}`;
}

/** Uniform digits of base 36: bytes above the largest multiple of 36 are thrown away. */
export function randomDigits(count: number): string {
  let digits = "";
  while (digits.length < count) {
    for (const byte of crypto.getRandomValues(new Uint8Array(2 * count))) {
      if (byte < 252 && digits.length < count) digits += ALPHABET[byte % 36];
    }
  }
  return digits;
}
