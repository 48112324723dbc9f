import { env } from "cloudflare:test";
import { expect, test } from "vitest";
import { BlobMissingError, Objects } from "../../src/store/objects.ts";

/** A bucket that refuses the first calls of every method, as many as are said. */
function refusing(times: number): { objects: Objects; calls: Map<string, number> } {
  const calls = new Map<string, number>();
  const bucket = new Proxy(env.OBJECTS, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return async (...args: unknown[]) => {
        const count = (calls.get(String(name)) ?? 0) + 1;
        calls.set(String(name), count);
        if (count <= times) throw new Error("We encountered an internal error. Please try again. (10001)");
        return Reflect.apply(method, target, args);
      };
    },
  });
  return { objects: new Objects(bucket), calls };
}

test("an operation that R2 refuses five times is done the sixth time", async () => {
  const { objects } = refusing(5);
  const key = "accounts/test/refused";
  await objects.putBytes(key, "hello");
  expect(await objects.find(key)).toBe("hello");
  await env.OBJECTS.delete(key);
});

test("one that it refuses six times fails, and what is missing is not asked for twice", async () => {
  await expect(refusing(6).objects.putBytes("accounts/test/refused", "hello")).rejects.toThrow("10001");
  const { objects, calls } = refusing(0);
  await expect(objects.open("accounts/test/nothing")).rejects.toBeInstanceOf(BlobMissingError);
  expect(calls.get("head")).toBe(1);
});
