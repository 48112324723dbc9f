import { describe, expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Feeds, Session } from "../../src/runtime/runtime.ts";
import { photo, planar } from "./images.ts";
import { lineText, rgb255 } from "./inputs.ts";
import { type KerasLayer, type KerasModel, kerasToOnnx } from "./keras-layers.ts";
import { realModel, realModels } from "./registry.ts";

async function sessionOf(name: string): Promise<Session> {
  return (await nodeRuntime()).load(await realModel(name).bytes());
}

describe("natural inputs", () => {
  test.for(realModels)(
    "$name has two that differ, and a third of another part, and they fit its inputs",
    async ({ missing, samples, inputShapes }, { skip }) => {
      if (missing !== null) skip(missing);
      const feeds = await samples(2);
      expect(feeds).toHaveLength(2);
      for (const [name, dims] of Object.entries(inputShapes)) expect(feeds[1]![name]!.dims).toEqual(dims);
      const [first, second] = feeds.map((feed) => Object.values(feed)[0]!.data as Float32Array);
      const [other] = (await samples(1, 1)).map((feed) => Object.values(feed)[0]!.data as Float32Array);
      const differs = (a: Float32Array, b: Float32Array) => a.some((value, i) => value !== b[i]);
      expect([differs(first!, second!), differs(first!, other!), differs(second!, other!)]).toEqual([
        true,
        true,
        true,
      ]);
    },
  );

  test("the recogniser reads about as many characters as were rendered", async () => {
    const session = await sessionOf("ocr-recogniser");
    const [feeds] = await realModel("ocr-recogniser").samples(1);
    const { dims, data } = Object.values(await session.run(feeds!))[0]!;
    await session.release();
    const classes = dims[2]!;
    let characters = 0;
    let before = 0;
    for (let t = 0; t < dims[1]!; t++) {
      const row = (data as Float32Array).subarray(t * classes, (t + 1) * classes);
      const best = row.indexOf(Math.max(...row));
      // Class 0 is CTC's blank; a class that goes on is one character.
      if (best !== 0 && best !== before && row[best]! > 0.8) characters++;
      before = best;
    }
    expect(lineText(0, 0)).toBe("Hone sparse");
    expect(characters).toBeGreaterThanOrEqual(9);
    expect(characters).toBeLessThanOrEqual(12);
  });

  test("the detector finds text on a page and none on blank paper", async () => {
    const session = await sessionOf("ocr-detector");
    const [page] = await realModel("ocr-detector").samples(1);
    const blank: Feeds = { x: { ...page!.x!, data: new Float32Array(3 * 320 * 320).fill(2) } };
    const share = async (feeds: Feeds) => {
      const mask = Object.values(await session.run(feeds))[0]!.data as Float32Array;
      return mask.filter((v) => v > 0.3).length / mask.length;
    };
    expect(await share(page!)).toBeGreaterThan(0.05);
    expect(await share(blank)).toBe(0);
    await session.release();
  });

  test("voice activity rises above 0.5 in speech", async () => {
    const session = await sessionOf("voice-activity");
    const feeds = await realModel("voice-activity").samples(16);
    const chances = await Promise.all(
      feeds.map(async (f) => (await session.run(f)).output!.data[0] as number),
    );
    await session.release();
    expect(Math.max(...chances)).toBeGreaterThan(0.5);
  });
});

const labelled = realModels.filter((model) => model.labelled !== undefined);
test.for(labelled)(
  "$name is right on 1,000 test digits as often as TRAINED.md says, to 2%",
  async (model, { skip }) => {
    if (model.missing !== null) skip(model.missing);
    const session = await sessionOf(model.name);
    const { feeds, labels } = await model.labelled!.test(0, 1000);
    const { data } = Object.values(await session.run(feeds))[0]!;
    await session.release();
    const right = labels.filter((label, i) => {
      const row = (data as Float32Array).subarray(i * 10, i * 10 + 10);
      return row.indexOf(Math.max(...row)) === label;
    });
    expect(Math.abs(right.length / 1000 - model.labelled!.accuracy)).toBeLessThan(0.02);
  },
);

describe("converted from tfjs", () => {
  test("ESRGAN comes closer to the photograph than its enlarged pixels do, by 0.5 dB and more", async () => {
    const session = await sessionOf("super-resolution");
    for (const index of [0, 1, 4]) {
      const small = await photo(index, 64);
      const large = planar(await photo(index, 256), (v) => v);
      const { dims, data } = (await session.run({ LR: rgb255(small) })).SR!;
      expect(dims).toEqual([1, 3, 256, 256]);
      const enlarged = large.map((_, i) => {
        const [channel, y, x] = [Math.floor(i / 65_536), Math.floor(i / 256) % 256, i % 256];
        return small.data[((y >> 2) * 64 + (x >> 2)) * 3 + channel]!;
      });
      expect(psnr(data as Float32Array, large) - psnr(enlarged, large)).toBeGreaterThan(0.5);
      expect(psnr(data as Float32Array, large)).toBeGreaterThan(25);
    }
    await session.release();
  });

  test("Inception gives probabilities, and finds the first photograph neutral", async () => {
    const session = await sessionOf("classifier");
    const [feeds] = await realModel("classifier").samples(1);
    const scores = (await session.run(feeds!)).dense_3!.data as Float32Array;
    await session.release();
    expect(scores.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    // Drawing, Hentai, Neutral, Porn, Sexy.
    expect(scores.indexOf(Math.max(...scores))).toBe(2);
  });

  test("a convolution is Keras's, whatever its kernel, padding and stride, to 1e-5", async () => {
    for (const [kernel, strides, padding] of [
      [[3, 3], [1, 1], "same"],
      [[1, 7], [1, 1], "same"],
      [[2, 2], [1, 1], "same"],
      [[3, 3], [2, 2], "valid"],
      [[1, 1], [1, 1], "valid"],
    ] as const) {
      const [height, width] = kernel;
      const weights = ramp(height * width * 2 * 3);
      const bias = new Float32Array([0.1, -0.2, 0.3]);
      const model = kerasModel(
        {
          class_name: "Conv2D",
          config: { name: "c", kernel_size: kernel, strides, padding, activation: "linear" },
          inbound_nodes: [[["x", 0, 0, {}]]],
        },
        [
          ["c/kernel", [height, width, 2, 3], weights],
          ["c/bias", [3], bias],
        ],
      );
      const x = ramp(6 * 8 * 2);
      const expected = kerasConv(x, [6, 8, 2], weights, [height, width, 2, 3], bias, strides, padding);
      const found = await runNhwc(model, x, [6, 8, 2]);
      expect(found.dims).toEqual(expected.dims);
      for (const [i, value] of expected.data.entries())
        expect(Math.abs(found.data[i]! - value)).toBeLessThan(1e-5);
    }
  });

  test("BatchNorm without scale, average pooling without padding in the mean, and nearest upsampling", async () => {
    const node = (class_name: string, config: object): KerasLayer => ({
      class_name,
      config: { name: "c", ...config },
      inbound_nodes: [[["x", 0, 0, {}]]],
    });
    const x = new Float32Array([1, 10, 2, 20, 3, 30, 4, 40]);
    const norm = kerasModel(node("BatchNormalization", { epsilon: 0 }), [
      ["c/beta", [2], new Float32Array([1, 2])],
      ["c/moving_mean", [2], new Float32Array([1, 10])],
      ["c/moving_variance", [2], new Float32Array([4, 25])],
    ]);
    expect([...(await runNhwc(norm, x, [2, 2, 2])).data]).toEqual([1, 2, 1.5, 4, 2, 6, 2.5, 8]);
    const pool = kerasModel(
      node("AveragePooling2D", { pool_size: [3, 3], strides: [1, 1], padding: "same" }),
      [],
    );
    expect([...(await runNhwc(pool, x, [2, 2, 2])).data]).toEqual([2.5, 25, 2.5, 25, 2.5, 25, 2.5, 25]);
    const up = kerasModel(node("UpSampling2D", { size: [1, 2] }), []);
    expect([...(await runNhwc(up, x.subarray(0, 4), [1, 2, 2])).data]).toEqual([1, 10, 1, 10, 2, 20, 2, 20]);
  });

  test("what it does not know is refused", () => {
    const unknown: KerasLayer = {
      class_name: "LSTM",
      config: { name: "c" },
      inbound_nodes: [[["x", 0, 0, {}]]],
    };
    expect(() => kerasToOnnx(kerasModel(unknown, []))).toThrow(/LSTM is not converted/);
  });
});

function ramp(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => ((i * 37) % 19) / 19 - 0.5);
}

function kerasModel(layer: KerasLayer, weights: [string, number[], Float32Array][]): KerasModel {
  return {
    name: "m",
    layers: [{ class_name: "InputLayer", config: { name: "x" }, inbound_nodes: [] }, layer],
    weights: new Map(weights.map(([name, shape, data]) => [name, { shape, data }])),
    inputShape: [1, null, null, null],
    outputShape: [1, null, null, null],
  };
}

/** Runs the converted model on an image with channels last and gives its answer so too. */
async function runNhwc(model: KerasModel, x: Float32Array, [h, w, c]: [number, number, number]) {
  const session = await (await nodeRuntime()).load(await modelBytes(kerasToOnnx(model)));
  const data = Float32Array.from(x, (_, i) => x[(i % (h * w)) * c + Math.floor(i / (h * w))]!);
  const y = (await session.run({ x: { dataType: DataType.FLOAT, dims: [1, c, h, w], data } })).c!;
  await session.release();
  const [, channels, height, width] = y.dims as [number, number, number, number];
  const values = y.data as Float32Array;
  const area = height * width;
  return {
    dims: [height, width, channels],
    data: Float32Array.from(values, (_, i) => values[(i % channels) * area + Math.floor(i / channels)]!),
  };
}

/** Keras's Conv2D straight from its definition, channels last. */
function kerasConv(
  x: Float32Array,
  [height, width, inputs]: [number, number, number],
  kernel: Float32Array,
  [kh, kw, , outputs]: [number, number, number, number],
  bias: Float32Array,
  [sy, sx]: readonly [number, number],
  padding: "same" | "valid",
) {
  const outHeight = padding === "same" ? Math.ceil(height / sy) : Math.floor((height - kh) / sy) + 1;
  const outWidth = padding === "same" ? Math.ceil(width / sx) : Math.floor((width - kw) / sx) + 1;
  const top = padding === "same" ? Math.floor(Math.max(0, (outHeight - 1) * sy + kh - height) / 2) : 0;
  const left = padding === "same" ? Math.floor(Math.max(0, (outWidth - 1) * sx + kw - width) / 2) : 0;
  const data: number[] = [];
  for (let y = 0; y < outHeight; y++) {
    for (let z = 0; z < outWidth; z++) {
      for (let o = 0; o < outputs; o++) {
        let sum = bias[o]!;
        for (let i = 0; i < kh * kw * inputs; i++) {
          const [ky, kx, channel] = [Math.floor(i / (kw * inputs)), Math.floor(i / inputs) % kw, i % inputs];
          const [row, column] = [y * sy + ky - top, z * sx + kx - left];
          if (row < 0 || column < 0 || row >= height || column >= width) continue;
          sum += x[(row * width + column) * inputs + channel]! * kernel[i * outputs + o]!;
        }
        data.push(sum);
      }
    }
  }
  return { dims: [outHeight, outWidth, outputs], data };
}

/** Peak signal-to-noise ratio in dB, for values in 0..255. */
function psnr(found: Float32Array, expected: Float32Array): number {
  const error = expected.reduce((sum, value, i) => sum + (value - found[i]!) ** 2, 0) / expected.length;
  return 10 * Math.log10(255 ** 2 / error);
}
