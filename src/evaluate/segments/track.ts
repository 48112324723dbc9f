import type { TensorValue } from "../../onnx/tensor-value.ts";
import { elementsOf } from "../elements.ts";
import type { Scratch } from "./execution.ts";
import { bytesOfTensor } from "./value-bytes.ts";

/** Bytes that values in memory may take; shared by the tracks of a run. */
export class Room {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Whether so many bytes were free; they are taken then. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

/** Values of successive feeds that are put aside together. */
const PAGE_BYTES = 4 * 2 ** 20;

interface Page {
  /** The first feed that it has a value of. */
  readonly first: number;
  readonly bytes: number;
  /** In memory, or its key and what each of its values is. */
  readonly place: readonly TensorValue[] | { readonly key: string; readonly layout: readonly Layout[] };
}

interface Layout {
  readonly dataType: number;
  readonly dims: readonly number[];
  readonly bytes: number;
}

/**
 * One value between segments, for every feed: written in the order of the feeds, then read in that order any number of
 * times. What does not fit in the room is put aside, some MB at a time.
 */
export class Track {
  readonly #room: Room;
  readonly #scratch: Scratch | null;
  readonly #pages: Page[] = [];
  #waiting: TensorValue[] = [];
  #waitingBytes = 0;
  #count = 0;
  /** The page that was read last. */
  #read: { page: Page; values: readonly TensorValue[] } | null = null;

  constructor(room: Room, scratch: Scratch | null) {
    this.#room = room;
    this.#scratch = scratch;
  }

  /** The value of the next feed. */
  async add(value: TensorValue): Promise<void> {
    this.#waiting.push(value);
    this.#waitingBytes += bytesOfTensor(value);
    if (this.#waitingBytes >= PAGE_BYTES) await this.seal();
  }

  /** After the last feed. */
  async seal(): Promise<void> {
    const [values, bytes] = [this.#waiting, this.#waitingBytes];
    if (values.length === 0) return;
    const isText = values.some(({ data }) => !ArrayBuffer.isView(data));
    const page = { first: this.#count, bytes };
    if (this.#room.take(bytes)) this.#pages.push({ ...page, place: values });
    else if (isText || this.#scratch === null) {
      // There is no other place; the room is overdrawn until they are dropped.
      this.#room.giveBack(-bytes);
      this.#pages.push({ ...page, place: values });
    } else {
      const layout = values.map((value) => ({
        dataType: value.dataType,
        dims: value.dims,
        bytes: bytesOfTensor(value),
      }));
      this.#pages.push({ ...page, place: { key: await this.#scratch.put(joined(values, bytes)), layout } });
    }
    this.#count += values.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  async at(feed: number): Promise<TensorValue> {
    const page = this.#pages.findLast(({ first }) => first <= feed)!;
    if (this.#read?.page !== page) {
      this.#read = null;
      this.#read = { page, values: await this.#valuesOf(page) };
    }
    return this.#read.values[feed - page.first]!;
  }

  /** Frees what the values take. */
  async drop(): Promise<void> {
    this.#read = null;
    for (const { place, bytes } of this.#pages.splice(0)) {
      if ("key" in place) await this.#scratch!.drop(place.key);
      else this.#room.giveBack(bytes);
    }
  }

  async #valuesOf({ place }: Page): Promise<readonly TensorValue[]> {
    if (!("key" in place)) return place;
    const bytes = await this.#scratch!.get(place.key);
    let at = 0;
    return place.layout.map(({ dataType, dims, bytes: length }) => {
      const data = elementsOf(dataType, bytes.subarray(at, at + length));
      at += length;
      return { dataType, dims, data };
    });
  }
}

function joined(values: readonly TensorValue[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const { data } of values) {
    const view = data as Uint8Array;
    bytes.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), at);
    at += view.byteLength;
  }
  return bytes;
}
