import { beforeAll, describe, expect, test } from "vitest";
import { compareAbove, compareWith, latencyOf } from "../../src/evaluate/evaluate.ts";
import { makeReference } from "../../src/evaluate/reference.ts";
import { type Executable, executableFile } from "../../src/evaluate/segments/executable.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { readTensor, tensorOf } from "../../src/onnx/tensor.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { RuntimeLoadError } from "../../src/runtime/errors.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { realModel } from "../models/registry.ts";
import { npy, npz } from "./files.ts";

/** Runs files, counting what is loaded at once. */
async function counting(): Promise<{
  file: (bytes: Uint8Array) => Executable;
  loaded: { now: number; most: number; runs: number };
}> {
  const inner = await nodeRuntime();
  const loaded = { now: 0, most: 0, runs: 0 };
  const runtime: Runtime = {
    ...inner,
    async load(model, options) {
      const session = await inner.load(model, options);
      loaded.most = Math.max(loaded.most, ++loaded.now);
      return {
        ...session,
        run: (feeds) => {
          loaded.runs++;
          return session.run(feeds);
        },
        release: () => {
          loaded.now--;
          return session.release();
        },
      };
    },
  };
  return { file: (bytes) => executableFile(bytes, runtime), loaded };
}

/** The model with every weight matrix scaled. */
async function scaled(model: Model, factor: number): Promise<Uint8Array> {
  const initializers = await Promise.all(
    model.graph.initializers.map(async (tensor) => {
      if (tensor.dims.length !== 2) return tensor;
      const value = await readTensor(tensor);
      return tensorOf(tensor.name, { ...value, data: (value.data as Float32Array).map((v) => v * factor) });
    }),
  );
  return modelBytes({ ...model, graph: { ...model.graph, initializers } });
}

const lenet = realModel("lenet-300-100");
const skip = lenet.missing === null ? "" : ` (skipped: ${lenet.missing})`;

describe.skipIf(lenet.missing !== null)(`evaluation of lenet-300-100${skip}`, () => {
  let bytes: Uint8Array;
  let model: Model;
  let calibration: { readonly format: "npz"; readonly bytes: Uint8Array };

  beforeAll(async () => {
    bytes = await lenet.bytes();
    model = await readModel(bytesSource(bytes));
    const { feeds, labels } = await lenet.labelled!.test(0, 1000);
    calibration = {
      format: "npz",
      bytes: npz({
        anything: npy("<f4", [1000, 1, 28, 28], feeds.input!.data as Float32Array),
        labels: npy("<i8", [1000], BigInt64Array.from(labels, BigInt)),
      }),
    };
  });

  test("on made-up inputs: the run that shows that they suit is the one that is compared with", async () => {
    const { file, loaded } = await counting();
    const limits = { synthetic: 3 };
    const reference = await makeReference({ model, original: file(bytes), calibration: null, limits });
    expect(reference).toMatchObject({ data: "synthetic", samples: 3 });
    // One more, of constants, as the batch is open.
    expect(loaded.runs).toBe(4);
  });

  test("against itself: R² 1, top-1 agreement 1, equal accuracy above 97%", async () => {
    const { file, loaded } = await counting();
    const reference = await makeReference({ model, original: file(bytes), calibration });
    const { fidelity, accuracy } = await compareWith(reference, file(bytes));
    expect(fidelity).toMatchObject({ data: "calibration", samples: 1000, min_r2: 1 });
    expect(fidelity.outputs).toMatchObject([
      { output: "logits", r2: 1, max_abs_difference: 0, top1_agreement: 1 },
    ]);
    expect(accuracy!.original).toBeGreaterThan(0.97);
    expect(accuracy!.compressed).toBe(accuracy!.original);
    // A thousand samples in batches of four, and one session at a time.
    expect(reference.feeds).toHaveLength(250);
    expect(reference.single.input!.dims).toEqual([1, 784]);
    expect(loaded).toMatchObject({ now: 0, most: 1 });
  });

  test("one reference serves many candidates, and tells the better from the worse", async () => {
    const { file, loaded } = await counting();
    const reference = await makeReference({ model, original: file(bytes), calibration });
    const before = loaded.runs;
    const near = await compareWith(reference, file(await scaled(model, 0.99)));
    const far = await compareWith(reference, file(await scaled(model, 0.5)));
    expect(loaded.runs - before).toBe(2 * reference.feeds.length);
    expect(near.fidelity.min_r2!).toBeGreaterThan(0.98);
    expect(near.fidelity.min_r2!).toBeLessThan(1);
    expect(far.fidelity.min_r2!).toBeLessThan(near.fidelity.min_r2!);
  });

  test("gives up on a candidate as soon as its R² cannot be reached, and never before", async () => {
    const { file, loaded } = await counting();
    const reference = await makeReference({ model, original: file(bytes), calibration });
    const candidate = await scaled(model, 0.9);
    const whole = (await compareWith(reference, file(candidate))).fidelity;
    const above = (least: number) => compareAbove(least, reference, file(candidate));
    expect((await above(whole.min_r2! - 1e-9))!.fidelity).toEqual(whole);
    const before = loaded.runs;
    expect(await above(whole.min_r2! + 1e-9)).toBeNull();
    // It loses about as much on every sample.
    expect(await above(1 - 10 * (1 - whole.min_r2!))).not.toBeNull();
    expect(loaded.runs - before).toBeGreaterThan(1.5 * reference.feeds.length);
    const late = loaded.runs;
    expect(await above(1 - 0.1 * (1 - whole.min_r2!))).toBeNull();
    expect(loaded.runs - late).toBeLessThan(0.2 * reference.feeds.length);
    expect(loaded.now).toBe(0);
  });

  test("without samples: eight made-up ones, no accuracy, and latency", async () => {
    const { file, loaded } = await counting();
    let time = 0;
    const now = async () => ++time;
    const reference = await makeReference({ model, original: file(bytes), calibration: null });
    const { fidelity, accuracy } = await compareWith(reference, file(bytes));
    expect(fidelity).toMatchObject({ data: "synthetic", samples: 8, min_r2: 1 });
    expect(accuracy).toBeNull();
    const latency = await latencyOf(reference, file(bytes), file(bytes), { now });
    expect(latency!.runs).toBeGreaterThan(0);
    expect(loaded).toMatchObject({ now: 0, most: 2 });
  });

  test("keeps within its limits of runs and of bytes", async () => {
    const { file } = await counting();
    const few = await makeReference({
      model,
      original: file(bytes),
      calibration,
      limits: { feeds: 5, samples: 100 },
    });
    expect(few.feeds).toHaveLength(5);
    expect(few.samples).toBe(100);
    const small = await makeReference({
      model,
      original: file(bytes),
      calibration,
      limits: { outputBytes: 400 },
    });
    // 266,200 multiply-accumulates a digit; six digits are taken even where they take more.
    const brief = await makeReference({
      model,
      original: file(bytes),
      calibration,
      limits: { macs: 266_200 * 20 },
    });
    expect(brief.feeds).toHaveLength(20);
    const briefest = await makeReference({ model, original: file(bytes), calibration, limits: { macs: 1 } });
    expect([briefest.feeds.length, briefest.heldOut.size]).toEqual([6, 3]);
    expect(small.samples).toBeLessThanOrEqual(12);
    expect(small.samples).toBeGreaterThanOrEqual(1);
  });

  test("gives sessions back when a candidate cannot be loaded or answers otherwise", async () => {
    const { file, loaded } = await counting();
    const reference = await makeReference({
      model,
      original: file(bytes),
      calibration,
      limits: { samples: 4 },
    });
    await expect(compareWith(reference, file(bytes.subarray(0, 1000)))).rejects.toThrow(RuntimeLoadError);
    const other = await realModel("lenet-5").bytes();
    await expect(compareWith(reference, file(other))).rejects.toThrow();
    expect(loaded.now).toBe(0);
  });
});

test("an open batch that hides a fixed Reshape falls back to one sample a run", async () => {
  const target = tensorOf("t", { dataType: DataType.INT64, dims: [2], data: new BigInt64Array([1n, 4n]) });
  const model: Model = {
    irVersion: 8,
    opsetImports: [{ domain: "", version: 14 }],
    graph: {
      name: "g",
      nodes: [
        { name: "", opType: "Reshape", domain: "", inputs: ["x", "t"], outputs: ["y"], attributes: [] },
      ],
      initializers: [target],
      sparseInitializers: [],
      inputs: [{ name: "x", type: { kind: "tensor", dataType: DataType.FLOAT, shape: ["N", 2, 2] } }],
      outputs: [{ name: "y", type: { kind: "tensor", dataType: DataType.FLOAT } }],
      valueInfo: [],
    },
    metadata: [],
    functions: [],
  };
  const bytes = await modelBytes(model);
  const data = Float32Array.from({ length: 40 }, (_, i) => i);
  const calibration = { format: "npy" as const, bytes: npy("<f4", [10, 2, 2], data) };
  const reference = await makeReference({
    model,
    original: executableFile(bytes, await nodeRuntime()),
    calibration,
    limits: { feeds: 5 },
  });
  expect(reference.feeds.map((feed) => feed.x!.dims)).toEqual(new Array(5).fill([1, 2, 2]));
});
