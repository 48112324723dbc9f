import { free } from "../../onnx/free.ts";
import type { Layer } from "../../onnx/layers.ts";
import { loadInto, slice } from "../../onnx/source.ts";
import { fromBytes, type Ranged, ranged, readRange } from "../../onnx/tensor-range.ts";
import type { LayerFacts } from "../layer-facts.ts";
import { type LayerWeight, weightOf } from "../weight.ts";
import { factsOfBlock, type RowBlock, type RowBlocks } from "./row-blocks.ts";

/** Bytes of a weight that are read at once. */
const READ_BYTES = 4 * 2 ** 20;

/** Neighbouring rows of a weight that stores its matrix column by column, themselves so stored. */
interface Strip {
  readonly first: number;
  readonly rows: number;
  readonly bytes: Uint8Array;
}

/**
 * Reads the blocks of one weight by ranges. Where rows lie apart, as in MatMul, a strip of as many as fit is gathered
 * while all of the weight goes by, and the blocks are cut from it: they are to be read in order.
 */
export class RowReader {
  readonly #facts: LayerFacts;
  readonly #cut: RowBlocks;
  readonly #weight: Ranged;
  readonly #stripBytes: number;
  #strip: Strip | null = null;

  private constructor(facts: LayerFacts, cut: RowBlocks, weight: Ranged, stripBytes: number) {
    this.#facts = facts;
    this.#cut = cut;
    this.#weight = weight;
    this.#stripBytes = stripBytes;
  }

  /**
   * null where the weight's numbers do not all stand in the file one after the other.
   * @param stripBytes of the weight that are held at once; a weight of more is read as often as it has such strips
   */
  static of(layer: Layer, facts: LayerFacts, cut: RowBlocks, stripBytes: number): RowReader | null {
    const { tensor } = layer.weight.holder;
    const weight = "values" in tensor || layer.fixed !== null ? null : ranged(tensor);
    return weight && new RowReader(facts, cut, weight, stripBytes);
  }

  /** Bytes of the weight that are at hand for the blocks to come. */
  get heldBytes(): number {
    return this.#strip?.bytes.byteLength ?? 0;
  }

  /** The block's numbers, which nobody else has; undefined where they are of a type that is not compressed. */
  async read(block: RowBlock): Promise<LayerWeight | undefined> {
    const { dims } = factsOfBlock(this.#facts, this.#cut.axis, block);
    const { columns, rows, transposed } = this.#facts.layout!;
    if (transposed) return weightOf(fromBytes(this.#weight.tensor, dims, await this.#fromStrip(block)));
    const first = (block.matrix * rows + block.first) * columns;
    return weightOf(await readRange(this.#weight, first, dims));
  }

  /** Frees what is at hand for further blocks. */
  close(): void {
    if (this.#strip) free(this.#strip.bytes);
    this.#strip = null;
  }

  async #fromStrip({ first, rows }: RowBlock): Promise<Uint8Array> {
    const strip = await this.#stripWith(first, rows);
    const { columns } = this.#facts.layout!;
    const [from, to] = [strip.rows * this.#weight.width, rows * this.#weight.width];
    const bytes = new Uint8Array(columns * to);
    const skipped = (first - strip.first) * this.#weight.width;
    for (let c = 0; c < columns; c++) {
      const at = c * from + skipped;
      bytes.set(strip.bytes.subarray(at, at + to), c * to);
    }
    return bytes;
  }

  async #stripWith(first: number, rows: number): Promise<Strip> {
    const known = this.#strip;
    if (known && first >= known.first && first + rows <= known.first + known.rows) return known;
    this.close();
    const { columns, rows: all } = this.#facts.layout!;
    const fitting = Math.floor(this.#stripBytes / (columns * this.#weight.width) / rows) * rows;
    const strip = { first, rows: Math.min(all - first, Math.max(rows, fitting)) };
    const bytes = new Uint8Array(columns * strip.rows * this.#weight.width);
    const row = all * this.#weight.width;
    const [skipped, wanted] = [first * this.#weight.width, strip.rows * this.#weight.width];
    const together = Math.min(columns, Math.max(1, Math.floor(READ_BYTES / row)));
    const read = new Uint8Array((together - 1) * row + wanted);
    for (let c = 0; c < columns; c += together) {
      const count = Math.min(columns - c, together);
      // The last column is read no further than it is wanted, the first not before.
      const [from, length] = [c * row + skipped, (count - 1) * row + wanted];
      await loadInto(slice(this.#weight.payload, from, from + length), read.subarray(0, length));
      for (let i = 0; i < count; i++) {
        bytes.set(read.subarray(i * row, i * row + wanted), (c + i) * wanted);
      }
    }
    free(read);
    this.#strip = { ...strip, bytes };
    return this.#strip;
  }
}
