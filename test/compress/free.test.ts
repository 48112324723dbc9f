import { expect, test } from "vitest";
import { free } from "../../src/compress/free.ts";

test("arrays are empty when they have been freed, but those whose buffer is kept, and again does no harm", () => {
  const [gone, kept] = [new Float32Array(4), new Float32Array(4)];
  free([gone, kept], new Set([kept.buffer]));
  free([gone], new Set());
  expect([gone.length, kept.length]).toEqual([0, 4]);
});
