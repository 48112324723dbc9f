import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LocalHost } from "../../src/cli/local-host.ts";
import { runCompression } from "../../src/jobs/pipeline.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { KERNELS_DIGEST } from "../kernels/every-kernel.ts";
import { realModel } from "../models/registry.ts";
import type { Page } from "./page.ts";
import { RECOGNISER_DIGEST } from "./same-bits.ts";

const ROOT = join(import.meta.dirname, "../..");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** Nothing of the browser's own reaches for the network. */
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
const QUIET = ["--disable-background-networking", "--disable-component-update"];

const missing = existsSync(CHROMIUM) ? null : `no Chromium at ${CHROMIUM}; CHROMIUM names another place`;

describe.skipIf(missing !== null)(`the engine in Chromium${missing ? ` (skipped: ${missing})` : ""}`, () => {
  const files = new Map<string, { type: string; body: Uint8Array | string }>();
  let server: Server;
  let browser: Browser;

  beforeAll(async () => {
    const bundle = await build({
      entryPoints: [join(ROOT, "test/runtime/page.ts")],
      bundle: true,
      write: false,
      format: "esm",
      platform: "browser",
    });
    files.set("/", { type: "text/html", body: "<script type=module src=/page.js></script>" });
    files.set("/page.js", { type: "text/javascript", body: bundle.outputFiles[0]!.contents });
    files.set("/ort.wasm", {
      type: "application/wasm",
      body: await readFile(join(ROOT, "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm")),
    });
    files.set("/kernels.wasm", {
      type: "application/wasm",
      body: await readFile(join(ROOT, "src/kernels/wasm/kernels.wasm")),
    });
    server = createServer((request, response) => {
      const file = files.get(request.url ?? "");
      response.writeHead(file ? 200 : 404, { "content-type": file?.type ?? "text/plain" }).end(file?.body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    browser = await chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...QUIET] });
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  /** Calls a function of the page with this model. */
  async function inPage(model: Uint8Array, call: keyof Page): Promise<string> {
    files.set("/model.onnx", { type: "application/octet-stream", body: model });
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction("globalThis.hone !== undefined");
    const answer = await page.evaluate(`globalThis.hone.${call}()`);
    await page.close();
    return String(answer);
  }

  test("gives the recogniser's answer to the bit, as Node and workerd do", async () => {
    expect(await inPage(await realModel("ocr-recogniser").bytes(), "digest")).toBe(RECOGNISER_DIGEST);
  });

  test("every kernel gives the same bits as in Node and workerd", async () => {
    expect(await inPage(new Uint8Array(), "kernels")).toBe(KERNELS_DIGEST);
  });

  test("compresses a model to the same bytes as Node does", async () => {
    const model = await realModel("face-detector").bytes();
    const host = await LocalHost.create(() => {});
    try {
      host.blobs.mount("model", bytesSource(model));
      const { artifact } = await runCompression(
        {
          prefix: "job/",
          model: { key: "model", range: null, external: {} },
          modelSha256: createHash("sha256").update(model).digest("hex"),
          recipe: {},
          calibration: null,
          mix: null,
          plan: {},
        },
        host,
      );
      expect(artifact.bytes).toBeLessThan(model.byteLength);
      expect(await inPage(model, "compress")).toBe(artifact.sha256);
    } finally {
      await host.dispose();
    }
  });
});
