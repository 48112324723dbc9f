import { describe, expect, test } from "vitest";
import { shapeCandidates } from "../../src/evaluate/input-shapes.ts";
import { modelHints } from "../../src/evaluate/model-hints.ts";
import { picture, smoothNoise } from "../../src/evaluate/noise.ts";
import { randomFrom } from "../../src/evaluate/random.ts";
import { SyntheticInputError, syntheticSamples } from "../../src/evaluate/synthetic.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { nodeOf } from "../../src/onnx/edit.ts";
import type { Dim, Model, Node, Tensor } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { RuntimeRunError } from "../../src/runtime/errors.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Feeds, Session } from "../../src/runtime/runtime.ts";
import { realModels } from "../models/registry.ts";
import { PICTURE_DIGEST, pictureDigest } from "./same-picture.ts";

const declared = (name: string, dataType: number, shape?: readonly Dim[]) => ({
  name,
  type: { kind: "tensor", dataType, shape } as const,
});

function modelOf(
  inputs: Model["graph"]["inputs"],
  output: Model["graph"]["outputs"][number],
  nodes: readonly Node[],
  initializers: readonly Tensor[] = [],
): Model {
  return {
    irVersion: 8,
    opsetImports: [{ domain: "", version: 14 }],
    graph: {
      name: "g",
      nodes,
      initializers,
      sparseInitializers: [],
      inputs,
      outputs: [output],
      valueInfo: [],
    },
    metadata: [],
    functions: [],
  };
}

/** A session that accepts what `accepts` says. */
function sessionOf(accepts: (feeds: Feeds) => boolean): Session {
  return {
    inputNames: [],
    outputNames: [],
    async run(feeds) {
      if (!accepts(feeds)) throw new RuntimeRunError("no");
      return {};
    },
    async release() {},
  };
}

describe("synthetic inputs of every real model", () => {
  test.for(realModels)(
    "$name runs on them, and their values are what the docstring says",
    async (real, { skip }) => {
      if (real.missing !== null) skip(real.missing);
      const bytes = await real.bytes();
      const model = await readModel(bytesSource(bytes));
      const session = await (await nodeRuntime()).load(bytes);
      const feeds = await syntheticSamples(model, session, 2);
      await session.release();
      expect(feeds).toHaveLength(2);
      for (const [name, expected] of Object.entries(real.inputShapes)) {
        const value = feeds[1]![name]!;
        expect(value.dims).toHaveLength(expected.length);
        expect(value.data.length).toBe(elementCount(value.dims));
        if (value.dataType !== DataType.FLOAT) continue;
        expect(Math.min(...(value.data as Float32Array).subarray(0, 10_000))).toBeGreaterThanOrEqual(-1);
        expect(Math.max(...(value.data as Float32Array).subarray(0, 10_000))).toBeLessThanOrEqual(1);
      }
      const [first, second] = feeds.map((feed) => Object.values(feed)[0]!.data as Float32Array);
      expect(first!.some((v, i) => v !== second![i])).toBe(true);
    },
  );
});

describe("synthetic inputs", () => {
  const anything = sessionOf(() => true);
  const floats = declared("x", DataType.FLOAT, ["N", 3, "h", "w"]);
  const identity = modelOf([floats], declared("y", DataType.FLOAT), [nodeOf("Identity", ["x"], ["y"])]);

  test("are the same for the same model and seed, and others for another seed", async () => {
    const [a, b, c] = await Promise.all(
      [0, 0, 1].map((seed) => syntheticSamples(identity, anything, 2, seed)),
    );
    const bytes = (feeds: readonly Feeds[] | undefined) =>
      Buffer.from((feeds![1]!.x!.data as Float32Array).buffer);
    expect(bytes(a).equals(bytes(b))).toBe(true);
    expect(bytes(a).equals(bytes(c))).toBe(false);
    expect(await pictureDigest()).toBe(PICTURE_DIGEST);
  });

  test("open dimensions move until the model accepts them", async () => {
    const picky = sessionOf(({ x }) => x!.dims[2] === 32 && x!.dims[0] === 2);
    expect((await syntheticSamples(identity, picky, 1))[0]!.x!.dims).toEqual([2, 3, 32, 32]);
  });

  test("sizes come from the model's own shape constants too", async () => {
    const target = tensorOf("t", {
      dataType: DataType.INT64,
      dims: [3],
      data: new BigInt64Array([-1n, 49n, 96n]),
    });
    const model = modelOf(
      [declared("x", DataType.FLOAT, ["V", 96])],
      declared("y", DataType.FLOAT),
      [nodeOf("Reshape", ["x", "t"], ["y"])],
      [target],
    );
    const session = await (await nodeRuntime()).load(await modelBytes(model));
    expect((await syntheticSamples(model, session, 1))[0]!.x!.dims).toEqual([49, 96]);
    await session.release();
  });

  test("token numbers stay inside the table that they index, and use it", async () => {
    const table = tensorOf("table", {
      dataType: DataType.FLOAT,
      dims: [1000, 2],
      data: new Float32Array(2000),
    });
    const model = modelOf(
      [declared("ids", DataType.INT64, ["N", "T"]), declared("attention_mask", DataType.INT64, ["N", "T"])],
      declared("y", DataType.FLOAT),
      [nodeOf("Gather", ["table", "ids"], ["y"])],
      [table],
    );
    const [feed] = await syntheticSamples(model, anything, 1);
    const ids = Array.from(feed!.ids!.data as BigInt64Array, Number);
    expect(feed!.ids!.dims).toEqual([1, 64]);
    expect(Math.max(...ids)).toBeLessThan(1000);
    expect(Math.max(...ids)).toBeGreaterThan(500);
    expect(new Set(feed!.attention_mask!.data as BigInt64Array)).toEqual(new Set([1n]));
  });

  test("rates, lengths and states are told by their names", async () => {
    const model = modelOf(
      [
        declared("audio", DataType.FLOAT, ["N", "samples"]),
        declared("sr", DataType.INT64, []),
        declared("audio_lengths", DataType.INT64, ["N"]),
        declared("h0", DataType.FLOAT, [2, "N", 8]),
      ],
      declared("y", DataType.FLOAT),
      [nodeOf("Identity", ["audio"], ["y"])],
    );
    const [feed] = await syntheticSamples(model, anything, 1);
    expect(feed!.audio!.dims).toEqual([1, 512]);
    expect(feed!.sr!.data).toEqual(new BigInt64Array([16_000n]));
    expect(feed!.audio_lengths!.data).toEqual(new BigInt64Array([512n]));
    expect(feed!.h0).toEqual({ dataType: DataType.FLOAT, dims: [2, 1, 8], data: new Float32Array(16) });
  });

  test.each([
    DataType.DOUBLE,
    DataType.FLOAT16,
    DataType.UINT8,
    DataType.INT8,
    DataType.INT16,
    DataType.UINT16,
    DataType.INT32,
    DataType.UINT32,
    DataType.INT64,
    DataType.UINT64,
    DataType.BOOL,
    DataType.STRING,
  ])("type %i has values that ONNX Runtime takes", async (dataType) => {
    const model = modelOf([declared("x", dataType, ["N", 3, 16, 16])], declared("y", dataType), [
      nodeOf("Identity", ["x"], ["y"]),
    ]);
    const session = await (await nodeRuntime()).load(await modelBytes(model));
    const [feed] = await syntheticSamples(model, session, 1);
    expect(await session.run(feed!)).toEqual({ y: feed!.x });
    await session.release();
  });

  test("a model that accepts nothing is refused with the runtime's reason, after a bounded number of runs", async () => {
    let runs = 0;
    const never = sessionOf(() => ++runs < 0);
    const refused = syntheticSamples(identity, never, 1);
    await expect(refused).rejects.toThrow(SyntheticInputError);
    await expect(refused).rejects.toThrow(/\(no\); send sample inputs/);
    expect(runs).toBeLessThanOrEqual(200);
  });

  test("a shape too large to make up is refused without an allocation", async () => {
    const huge = modelOf([declared("x", DataType.FLOAT, [1, 3, 2 ** 30, 2 ** 30])], declared("y", 1), []);
    await expect(syntheticSamples(huge, anything, 1)).rejects.toThrow(/too large/);
  });

  test("an error that is no refusal of the inputs is not swallowed", async () => {
    const broken: Session = { ...anything, run: async () => Promise.reject(new TypeError("bug")) };
    await expect(syntheticSamples(identity, broken, 1)).rejects.toThrow(TypeError);
  });
});

describe("shape candidates", () => {
  test("start with the likeliest and change one dimension before two", () => {
    const inputs = [{ name: "x", dataType: DataType.FLOAT, shape: ["N", 3, null, null] }];
    const first = [...shapeCandidates(inputs, [])].slice(0, 4).map((shapes) => shapes.get("x"));
    expect(first).toEqual([
      [1, 3, 128, 128],
      [2, 3, 128, 128],
      [1, 3, 64, 64],
      [4, 3, 128, 128],
    ]);
  });

  test("a symbol has one size in every input", () => {
    const inputs = [
      { name: "a", dataType: DataType.FLOAT, shape: ["B", "T", 8] },
      { name: "b", dataType: DataType.INT64, shape: ["B", "T"] },
    ];
    for (const shapes of shapeCandidates(inputs, [7])) {
      expect(shapes.get("b")).toEqual(shapes.get("a")!.slice(0, 2));
    }
  });
});

test("hints read no large tensor", async () => {
  const large: Tensor = {
    name: "w",
    dataType: DataType.INT64,
    dims: [100, 100],
    data: {
      kind: "raw",
      bytes: {
        offset: 0,
        length: 80_000,
        source: { size: 80_000, read: () => Promise.reject(new Error("read")) },
      },
    },
  };
  const hints = await modelHints(modelOf([], declared("y", 1), [], [large]));
  expect(hints.sizes).toEqual([100]);
});

describe("made-up numbers", () => {
  test("xoshiro128** from a SplitMix32 seed: uniform to 1% in mean and variance over 100,000", () => {
    const random = randomFrom(42);
    const values = Array.from({ length: 100_000 }, () => random.uniform());
    const mean = values.reduce((a, b) => a + b) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean / 0.5 - 1)).toBeLessThan(0.01);
    expect(Math.abs(variance / (1 / 12) - 1)).toBeLessThan(0.01);
  });

  test("integers cover 0 … bound − 1", () => {
    const random = randomFrom(1);
    expect(new Set(Array.from({ length: 200 }, () => random.integer(5)))).toEqual(new Set([0, 1, 2, 3, 4]));
  });

  test("noise fills [0, 1] and is smooth: neighbours correlate above 0.8", () => {
    const noise = smoothNoise([64, 64], randomFrom(3));
    expect(Math.min(...noise)).toBe(0);
    expect(Math.max(...noise)).toBe(1);
    expect(neighbourCorrelation(noise, 64)).toBeGreaterThan(0.8);
  });

  test("pictures stay in [0, 1], have edges and are smooth between them", () => {
    const values = picture([64, 64], randomFrom(3));
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThanOrEqual(1);
    expect(neighbourCorrelation(values, 64)).toBeGreaterThan(0.6);
    const steps = Array.from(values.subarray(1), (value, i) => Math.abs(value - values[i]!));
    expect(Math.max(...steps)).toBeGreaterThan(0.3);
  });
});

function neighbourCorrelation(values: Float64Array, width: number): number {
  const mean = values.reduce((a, b) => a + b) / values.length;
  let product = 0;
  let square = 0;
  for (let i = 0; i < values.length; i++) {
    square += (values[i]! - mean) ** 2;
    if ((i + 1) % width !== 0) product += (values[i]! - mean) * (values[i + 1]! - mean);
  }
  return product / square;
}
