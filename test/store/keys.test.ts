import { describe, expect, test } from "vitest";
import { derivedId, newId } from "../../src/store/ids.ts";
import { hashKey, insertKeySql, isKey, newKey } from "../../src/store/keys.ts";
import {
  contentKey,
  fileKey,
  incomingKey,
  jobPrefix,
  layersKey,
  ownerOf,
  partKey,
} from "../../src/store/object-keys.ts";

describe("keys", () => {
  test("are long, never the same, and stored only as SHA-256", () => {
    const key = newKey();
    expect(key).toMatch(/^hone_sk_[0-9a-z]{40}$/);
    expect(newKey()).not.toBe(key);
    const sql = insertKeySql(newId("acc", 0), "O'Brien", key, 1);
    expect(sql).not.toContain(key);
    expect(sql).toContain(hashKey(key));
    expect(sql).toContain("'O''Brien'");
  });

  test("hash as SHA-256 does", () => {
    expect(hashKey("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });

  test("SQL takes nothing but an id and a key of Hone's own", () => {
    expect(() => insertKeySql("acc_'; DROP TABLE accounts; --", "x", newKey(), 0)).toThrow(RangeError);
    expect(() => insertKeySql(newId("acc", 0), "x", "secret", 0)).toThrow(RangeError);
    expect(isKey("hone_sk_")).toBe(false);
  });
});

describe("ids", () => {
  test("sort by age", () => {
    const times = [0, 1, 35, 36, 1_700_000_000_000, 1_800_000_000_000, 4_000_000_000_000];
    const ids = times.map((time) => newId("mdl", time));
    expect(ids.toSorted()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(/^mdl_[0-9a-z]{24}$/);
  });

  test("derived from the same parts are the same, and else differ", () => {
    expect(derivedId("evt", 5, "a", "b")).toBe(derivedId("evt", 5, "a", "b"));
    expect(derivedId("evt", 5, "a", "b")).not.toBe(derivedId("evt", 5, "ab", ""));
    expect(derivedId("evt", 5, "a", "b")).toMatch(/^evt_[0-9a-z]{24}$/);
  });
});

test("every object key says who keeps it alive", () => {
  const [content, file] = [contentKey("acc_1", "ff"), fileKey("acc_1", "upl_1-0")];
  expect(ownerOf(content)).toEqual({ kind: "content", file: content });
  expect(ownerOf(file)).toEqual({ kind: "content", file });
  expect(ownerOf(partKey(file, 12))).toEqual({ kind: "content", file });
  expect(ownerOf(layersKey("acc_1", "mdl_1"))).toEqual({ kind: "model", model: "mdl_1" });
  expect(ownerOf(incomingKey("acc_1", "x"))).toEqual({ kind: "incoming", id: "x" });
  expect(ownerOf(`${jobPrefix("acc_1", "cmp_1")}artifact`)).toEqual({ kind: "job", compression: "cmp_1" });
  expect(ownerOf("something/else")).toEqual({ kind: "unknown" });
});
