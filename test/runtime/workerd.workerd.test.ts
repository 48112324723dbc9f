import { env } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { workerdRuntime } from "../../src/runtime/workerd.ts";
import { workerdNow } from "../../src/runtime/workerd-clock.ts";
import { PICTURE_DIGEST, pictureDigest } from "../evaluate/same-picture.ts";
import { describeRuntime } from "./contract.ts";
import { RECOGNISER_DIGEST, recogniserDigest } from "./same-bits.ts";

const fixtures = env as unknown as { readonly OCR_RECOGNISER: ArrayBuffer };

describeRuntime("workerd", workerdRuntime);

describe("onnxruntime-web in workerd", () => {
  test("gives the recogniser's answer to the bit, as Node does", async () => {
    const runtime = await workerdRuntime();
    const session = await runtime.load(new Uint8Array(fixtures.OCR_RECOGNISER));
    expect(await recogniserDigest(session)).toBe(RECOGNISER_DIGEST);
    await session.release();
  });

  test("makes up the same inputs as Node, to the bit", async () => {
    expect(await pictureDigest()).toBe(PICTURE_DIGEST);
  });

  test("leaves other callers of WebAssembly.instantiate alone", async () => {
    const empty = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    await expect(WebAssembly.instantiate(empty)).rejects.toThrow(/code generation|compile/i);
  });

  test("the clock moves on while code computes", async () => {
    const start = await workerdNow();
    let sum = 0;
    for (let i = 0; i < 3_000_000; i++) sum += i % 7;
    expect(sum).toBeGreaterThan(0);
    expect(await workerdNow()).toBeGreaterThan(start);
  });
});
