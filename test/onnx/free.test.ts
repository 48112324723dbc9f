import { expect, test } from "vitest";
import { free } from "../../src/onnx/free.ts";

test("arrays are empty when they have been freed, with everything that shares their buffer, and again does no harm", () => {
  const [gone, other] = [new Float32Array(4), new Float32Array(4)];
  const view = new Uint8Array(gone.buffer, 4, 4);
  free(gone);
  free(gone, view);
  expect([gone.length, view.length, other.length]).toEqual([0, 0, 4]);
});
