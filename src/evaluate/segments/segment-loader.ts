import { detached } from "../../onnx/detach.ts";
import { free } from "../../onnx/free.ts";
import type { Model } from "../../onnx/model.ts";
import { byteLength, loadInto } from "../../onnx/source.ts";
import { modelBytes } from "../../onnx/write.ts";
import type { ExternalFile, Runtime, Session } from "../../runtime/runtime.ts";

/** Loads models with their large weights beside them, so that the runtime holds each of them once less. */
export class SegmentLoader {
  readonly #runtime: Runtime;
  /** The weights of a model while it is loaded; it serves one after the other. */
  #room = new Uint8Array(0);

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** One at a time. @throws RuntimeLoadError */
  async load(model: Model): Promise<Session> {
    const { model: bare, files } = detached(model);
    const size = files.reduce((sum, { bytes }) => sum + byteLength(bytes), 0);
    if (size > this.#room.byteLength) {
      this.free();
      this.#room = new Uint8Array(size);
    }
    const external: ExternalFile[] = [];
    let at = 0;
    for (const { path, bytes } of files) {
      const data = this.#room.subarray(at, at + byteLength(bytes));
      await loadInto(bytes, data);
      external.push({ path, data });
      at += data.byteLength;
    }
    return this.#runtime.load(await modelBytes(bare), { memory: "tight", external });
  }

  /** Frees the memory that weights came in, when nothing more is loaded for now. */
  free(): void {
    free(this.#room);
    this.#room = new Uint8Array(0);
  }
}
