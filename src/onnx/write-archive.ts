import { linkTensors } from "./linked.ts";
import type { Model } from "./model.ts";
import { type ByteSource, type Bytes, type Span, sourceOf } from "./source.ts";
import { TAR_END_BYTES, tarHeader, tarPadding } from "./tar-write.ts";
import { encodeModel } from "./write.ts";

/** Names in the archive; the model names its data by the second. */
export const MODEL_NAME = "model.onnx";
export const DATA_NAME = "model.onnx.data";

/** Payloads from this size on go into the data file: below it they are shapes and settings. */
const LEAST_BYTES = 1024;

/**
 * A model that is too large for one file, as a tar of its graph and of one file with the data of its tensors, each at
 * a multiple of the page size, so that runtimes may map it.
 */
export function encodeArchive(model: Model): ByteSource {
  const data = new DataFile();
  const linked = linkTensors(model, (payload) =>
    payload.length < LEAST_BYTES ? undefined : { location: DATA_NAME, span: data.add(payload) },
  );
  const file = (name: string, source: ByteSource) => [
    tarHeader(name, source.size),
    { source, offset: 0, length: source.size },
    tarPadding(source.size),
  ];
  return sourceOf([
    ...file(MODEL_NAME, encodeModel(linked, "named")),
    ...file(DATA_NAME, data.finished()),
    new Uint8Array(TAR_END_BYTES),
  ]);
}

const PAGE = 4096;

/** Payloads one after the other, each read where it lies when it is written. Payloads that come again are there once. */
class DataFile implements ByteSource {
  size = 0;
  readonly #parts: Bytes[] = [];
  readonly #known = new Map<ByteSource, Map<string, Span>>();

  add(payload: Span): Span {
    const known = this.#known.get(payload.source) ?? new Map<string, Span>();
    this.#known.set(payload.source, known);
    const place = `${payload.offset} ${payload.length}`;
    const found = known.get(place);
    if (found) return found;
    const at = Math.ceil(this.size / PAGE) * PAGE;
    this.#parts.push(new Uint8Array(at - this.size), payload);
    this.size = at + payload.length;
    const span = { source: this, offset: at, length: payload.length };
    known.set(place, span);
    return span;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.finished().read(offset, length);
  }

  /** As it is now. */
  finished(): ByteSource {
    return sourceOf(this.#parts);
  }
}
