import { describe, expect, test } from "vitest";
import { decodeMoments, encodeMoments } from "../../src/evaluate/moments/moments-file.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Model } from "../../src/onnx/model.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { RuntimeLoadError, RuntimeRunError } from "../../src/runtime/errors.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { floats, floatTensor, graphOf, int, modelOf, node, value } from "../compress/tiny.ts";
import { ALL, expectedEnergy, fed, momentsOf, open } from "./moments-check.ts";

describe("vectors that are not finite, or too long to be squared", () => {
  test("are left out, the others are not", async () => {
    const data = floats([5, 3]);
    data[1] = Number.NaN;
    data[5] = Number.POSITIVE_INFINITY;
    data[6] = 1e30;
    const model = modelOf(
      graphOf({
        nodes: [node("MatMul", ["x", "w"], ["y"])],
        initializers: [floatTensor("w", [3, 2], floats([3, 2]))],
        inputs: [value("x", [5, 3])],
        outputs: [open("y")],
      }),
    );
    const { matrices } = (
      await momentsOf(model, [{ x: { dataType: DataType.FLOAT, dims: [5, 3], data } }])
    ).get("y")!;
    const [moments] = matrices!;
    expect(moments!.count).toBe(2);
    for (let i = 0; i < 3; i++) {
      expect(moments!.mean[i]).toBeCloseTo((data[9 + i]! + data[12 + i]!) / 2, 6);
      expect(moments!.gram![i * 3 + i]).toBeCloseTo((data[9 + i]! ** 2 + data[12 + i]! ** 2) / 2, 6);
    }
  });
});

/** A chain of 3×3 convolutions with ReLUs between. */
function chain(length: number, channels: number, size: number): Model {
  const weight = [channels, channels, 3, 3];
  const names = Array.from({ length }, (_, i) => `c${i}`);
  return modelOf(
    graphOf({
      nodes: names.flatMap((name, i) => [
        node("Conv", [i === 0 ? "x" : `r${i - 1}`, `w${i}`], [name], {
          pads: { type: "ints", value: [1, 1, 1, 1] },
        }),
        node("Relu", [name], [`r${i}`]),
      ]),
      initializers: names.map((_, i) =>
        floatTensor(
          `w${i}`,
          weight,
          floats(weight, i + 1).map((w) => w / 4),
        ),
      ),
      inputs: [value("x", [1, channels, size, size])],
      outputs: [open(`r${length - 1}`)],
    }),
  );
}

describe("limits", () => {
  const model = chain(4, 4, 12);
  const feeds = [1, 2, 3].map((seed) => ({ x: fed([1, 4, 12, 12], seed) }));

  async function counted(): Promise<{ runtime: Runtime; loads: string[][] }> {
    const runtime = await nodeRuntime();
    const loads: string[][] = [];
    const load: Runtime["load"] = async (bytes, options) => {
      const session = await runtime.load(bytes, options);
      loads.push([...session.outputNames]);
      return session;
    };
    return { runtime: { ...runtime, load }, loads };
  }

  test("of bytes make passes, which change no bit of the result", async () => {
    const [one, many] = [await counted(), await counted()];
    const whole = await momentsOf(model, feeds, { runtime: one.runtime });
    const parts = await momentsOf(model, feeds, {
      runtime: many.runtime,
      limits: { ...ALL, activationBytes: 2 * 4 * 144 * 4 },
    });
    expect(one.loads.map(({ length }) => length)).toEqual([4]);
    expect(many.loads.map(({ length }) => length)).toEqual([2, 2]);
    expect([...parts.values()]).toEqual([...whole.values()]);
  });

  test("of work bound the vectors of every layer, and half of them still give the energy to 10%", async () => {
    const whole = await momentsOf(model, feeds);
    const macs = (4 * 200 * 36 * 37) / 2;
    const part = await momentsOf(model, feeds, {
      limits: { gramMacs: macs, vectorsPerFeature: 1e6, fewestVectors: 1 },
    });
    let spent = 0;
    for (const [name, { matrices }] of part) {
      const { count, n } = matrices![0]!;
      expect(count).toBeGreaterThan(190);
      spent += (count * n * (n + 1)) / 2;
      const [all, some] = [
        await expectedEnergy(model, whole.get(name)!),
        await expectedEnergy(model, part.get(name)!),
      ];
      expect(whole.get(name)!.matrices![0]!.count).toBe(3 * 144);
      expect((some / count) * 432).toBeGreaterThan(0.9 * all);
      expect((some / count) * 432).toBeLessThan(1.1 * all);
    }
    expect(spent).toBeLessThanOrEqual(macs);
    const again = await momentsOf(model, feeds, {
      limits: { gramMacs: macs, vectorsPerFeature: 1e6, fewestVectors: 1 },
    });
    expect([...again.values()]).toEqual([...part.values()]);
  });

  test("of features: of more than 2304 only the diagonal and the mean are kept", async () => {
    const wide = modelOf(
      graphOf({
        nodes: [node("MatMul", ["x", "w"], ["y"])],
        initializers: [floatTensor("w", [2305, 2], floats([2305, 2]))],
        inputs: [value("x", [2, 2305])],
        outputs: [open("y")],
      }),
    );
    const x = fed([2, 2305]);
    const [moments] = (await momentsOf(wide, [{ x }])).get("y")!.matrices!;
    expect(moments).toMatchObject({ n: 2305, count: 2, gram: null });
    const data = x.data as Float32Array;
    expect(moments!.diagonal[7]).toBeCloseTo((data[7]! ** 2 + data[2312]! ** 2) / 2, 6);
  });

  test("layers that read the same values in the same way are collected once", async () => {
    const three = modelOf(
      graphOf({
        nodes: ["q", "k", "v"].map((name) => node("MatMul", ["x", `w${name}`], [name])),
        initializers: ["q", "k", "v"].map((name, i) => floatTensor(`w${name}`, [3, 3], floats([3, 3], i))),
        inputs: [value("x", [2, 3])],
        outputs: ["q", "k", "v"].map((name) => open(name)),
      }),
    );
    const { runtime, loads } = await counted();
    const found = await momentsOf(three, [{ x: fed([2, 3]) }], { runtime });
    expect(loads.map(({ length }) => length)).toEqual([1]);
    expect(found.get("q")!.matrices![0]).toBe(found.get("v")!.matrices![0]);
  });
});

test.each([RuntimeLoadError, RuntimeRunError])(
  "a layer that the runtime cannot expose (%o) costs no other its moments",
  async (Failure) => {
    const model = chain(5, 2, 6);
    const feeds = [{ x: fed([1, 2, 6, 6]) }];
    const real = await nodeRuntime();
    const whole = await momentsOf(model, feeds);
    /** Refuses graphs with w3, which only the input of the last convolution needs. */
    const load: Runtime["load"] = async (bytes) => {
      const session = await real.load(bytes);
      const isLast = new TextDecoder("latin1").decode(bytes).includes("w3");
      if (!isLast) return session;
      await session.release();
      throw new Failure("no room");
    };
    const found = await momentsOf(model, feeds, { runtime: { ...real, load } });
    expect(found.get("c4")).toEqual({ layer: "c4", matrices: null, reason: "no room" });
    found.delete("c4");
    whole.delete("c4");
    expect(found).toEqual(whole);
  },
);

describe("bytes of a layer's moments", () => {
  test("read back as they were: groups, a matrix without vectors, one with a diagonal only, a reason", async () => {
    const grouped = modelOf(
      graphOf({
        nodes: [node("Conv", ["x", "w"], ["y"], { group: int(3) })],
        initializers: [floatTensor("w", [3, 1, 2, 2], floats([3, 1, 2, 2]))],
        inputs: [value("x", [1, 3, 5, 5])],
        outputs: [open("y")],
      }),
    );
    const found = (await momentsOf(grouped, [{ x: fed([1, 3, 5, 5]) }])).get("y")!;
    const [first, second] = found.matrices!;
    const cases = [
      found,
      { layer: "é", matrices: [null, { ...first!, gram: null }, second!], reason: null },
      { layer: "", matrices: [], reason: null },
      { layer: "none", matrices: null, reason: "because" },
    ] as const;
    for (const one of cases) expect(await decodeMoments(bytesSource(encodeMoments(one)))).toEqual(one);
    // Three triangles of 4 features, with diagonal and mean.
    expect(encodeMoments(found).length).toBeLessThan(3 * (10 + 8) * 4 + 200);
  });
});
