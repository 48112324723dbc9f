import { linkTensors } from "./linked.ts";
import type { Model } from "./model.ts";
import { type ByteSource, checkRange, type Span } from "./source.ts";
import { TAR_END_BYTES, tarHeader, tarPadding } from "./tar-write.ts";
import { type EncodedFile, encodeModel } from "./write.ts";

/** Names in the archive; the model names its data by the second. */
export const MODEL_NAME = "model.onnx";
export const DATA_NAME = "model.onnx.data";

/** Payloads from this size on go into the data file: below it they are shapes and settings. */
const LEAST_BYTES = 1024;
const CHUNK_BYTES = 1024 * 1024;

/**
 * A model that is too large for one file, as a tar of its graph and of one file with the data of its tensors, each at
 * a multiple of the page size, so that runtimes may map it.
 */
export function encodeArchive(model: Model): EncodedFile {
  const data = new DataFile();
  const linked = linkTensors(model, (payload) =>
    payload.length < LEAST_BYTES ? undefined : { location: DATA_NAME, span: data.add(payload) },
  );
  const graph = encodeModel(linked, "named");
  const [before, between] = [tarHeader(MODEL_NAME, graph.size), tarHeader(DATA_NAME, data.size)];
  const [afterGraph, afterData] = [tarPadding(graph.size), tarPadding(data.size)];
  const size =
    before.length +
    graph.size +
    afterGraph.length +
    between.length +
    data.size +
    afterData.length +
    TAR_END_BYTES;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield before;
    yield* graph.chunks();
    yield afterGraph;
    yield between;
    for (let at = 0; at < data.size; at += CHUNK_BYTES) {
      yield await data.read(at, Math.min(CHUNK_BYTES, data.size - at));
    }
    yield afterData;
    yield new Uint8Array(TAR_END_BYTES);
  }
  return { size, chunks };
}

const PAGE = 4096;

/** Payloads one after the other, each read where it lies when it is written. Payloads that come again are there once. */
class DataFile implements ByteSource {
  size = 0;
  readonly #parts: { readonly at: number; readonly payload: Span }[] = [];
  readonly #known = new Map<ByteSource, Map<string, Span>>();

  add(payload: Span): Span {
    const known = this.#known.get(payload.source) ?? new Map<string, Span>();
    this.#known.set(payload.source, known);
    const place = `${payload.offset} ${payload.length}`;
    const found = known.get(place);
    if (found) return found;
    const at = Math.ceil(this.size / PAGE) * PAGE;
    this.#parts.push({ at, payload });
    this.size = at + payload.length;
    const span = { source: this, offset: at, length: payload.length };
    known.set(place, span);
    return span;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(offset, length, this.size);
    const bytes = new Uint8Array(length);
    for (let i = this.#firstBehind(offset); i < this.#parts.length; i++) {
      const { at, payload } = this.#parts[i]!;
      if (at >= offset + length) break;
      const from = Math.max(offset, at);
      const to = Math.min(offset + length, at + payload.length);
      bytes.set(await payload.source.read(payload.offset + from - at, to - from), from - offset);
    }
    return bytes;
  }

  /** The first part that ends behind the offset, by bisection. */
  #firstBehind(offset: number): number {
    let [low, high] = [0, this.#parts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const { at, payload } = this.#parts[middle]!;
      if (at + payload.length > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
