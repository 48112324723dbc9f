import { atMost } from "../../src/evaluate/segments/execution.ts";
import type { Blobs, JobHost } from "../../src/jobs/job.ts";
import { treatInTurn } from "../../src/jobs/layers-in-turn.ts";
import { runCompression } from "../../src/jobs/pipeline.ts";
import { WasmHomes } from "../../src/jobs/wasm-homes.ts";
import { browserKernels } from "../../src/kernels/wasm/browser.ts";
import { bytesSource, wholeOf } from "../../src/onnx/source.ts";
import { browserRuntime } from "../../src/runtime/browser.ts";
import { kernelsDigest } from "../kernels/every-kernel.ts";
import { recogniserDigest } from "./same-bits.ts";

/** What a page does with the engine: everything in memory, each step once. */
class PageHost implements JobHost {
  readonly blobs: Blobs & { bytes: Map<string, Uint8Array> };
  readonly memory = atMost(2 ** 30);

  constructor(model: Uint8Array) {
    const bytes = new Map([["model", model]]);
    this.blobs = {
      bytes,
      async put(key, source) {
        const whole = (await wholeOf(source)).slice();
        bytes.set(key, whole);
        return sha256Of(whole);
      },
      async open(key) {
        const stored = bytes.get(key);
        if (stored === undefined) throw new Error(`nothing is stored under ${key}`);
        return bytesSource(stored);
      },
      async delete(key) {
        bytes.delete(key);
      },
    };
  }

  step: JobHost["step"] = (_name, run) => run();
  report = async () => {};
  treatLayers: JobHost["treatLayers"] = (work) => treatInTurn(work, this, () => {});
  readonly #homes = new WasmHomes(
    () => browserRuntime("/ort.wasm"),
    () => browserKernels("/kernels.wasm"),
  );
  runtime = () => this.#homes.runtime();
  kernels = () => this.#homes.kernels();
  wasmBytes = () => this.#homes.bytes();
  now = async () => performance.now();
}

async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function modelBytes(): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await fetch("/model.onnx")).arrayBuffer());
}

/** What the test calls in the page. */
const page = {
  async digest(): Promise<string> {
    const session = await (await browserRuntime("/ort.wasm")).load(await modelBytes());
    return recogniserDigest(session);
  },
  async kernels(): Promise<string> {
    return kernelsDigest(await browserKernels("/kernels.wasm"));
  },
  async compress(): Promise<string> {
    const model = await modelBytes();
    const host = new PageHost(model);
    const job = {
      prefix: "job/",
      model: { key: "model", range: null, external: {} },
      modelSha256: await sha256Of(model),
      recipe: {},
      calibration: null,
      mix: null,
      plan: {},
    };
    return (await runCompression(job, host)).artifact.sha256;
  },
};
export type Page = typeof page;
Object.assign(globalThis, { hone: page });
