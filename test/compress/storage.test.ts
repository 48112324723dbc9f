import fc from "fast-check";
import * as ortNode from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { type CodedWeight, codedValues, factorOf } from "../../src/compress/storage/coded.ts";
import { decodeNodes } from "../../src/compress/storage/decode-nodes.ts";
import { digitBytes, digitsFor, packDigits } from "../../src/compress/storage/digits.ts";
import { countGaps, gapsOf } from "../../src/compress/storage/gaps.ts";
import { storeCoded, storeHalf, storePlain } from "../../src/compress/storage/store.ts";
import { storeDequantized } from "../../src/compress/storage/store-dequantized.ts";
import type { Decode, StoredWeight } from "../../src/compress/storage/stored-weight.ts";
import { type LayerWeight, rounded } from "../../src/compress/weight.ts";
import { widen } from "../../src/onnx/constant/half.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { nodeOf } from "../../src/onnx/edit.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { validateModel, validateSparseTensors } from "../../src/onnx/validate.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { decoded, unpackDigits } from "./decoded.ts";
import { graphOf, modelOf, value } from "./tiny.ts";

/** A model whose outputs are the rebuilt weights. */
function modelOfWeights(list: readonly StoredWeight[], opset: number): Model {
  const outputs = list.map(({ decode }, i) => value(`w${i}_out`, decode.dims, decode.dataType));
  const base = modelOf(graphOf({ nodes: [], outputs }), opset, opset >= 21 ? 10 : 6);
  let names = 0;
  const fresh = () => `v${names++}`;
  const all = list.map((stored, i) => decodeNodes(stored, `w${i}`, stored.parts.map(fresh), fresh, opset));
  const nodes = all.flatMap(({ nodes }, i) => [...nodes, nodeOf("Identity", [`w${i}`], [`w${i}_out`])]);
  return {
    ...base,
    graph: {
      ...base.graph,
      nodes,
      initializers: all.flatMap(({ initializers }) => initializers),
      sparseInitializers: all.flatMap(({ sparseInitializers }) => sparseInitializers),
    },
  };
}

/** Runs the nodes in onnxruntime-web, folded at load and not, and expects the bits of `decoded`. */
async function expectExact(list: readonly StoredWeight[], opset: number) {
  const bytes = await modelBytes(modelOfWeights(list, opset));
  const model = await readModel(bytesSource(bytes));
  validateModel(model);
  await validateSparseTensors(model);
  const runtime = await nodeRuntime();
  for (const optimization of ["all", "none"] as const) {
    const session = await runtime.load(bytes, { optimization });
    const outputs = await session.run({});
    for (const [i, stored] of list.entries()) {
      const { dataType, dims, elements, placement } = stored.decode;
      const label = `${JSON.stringify({ elements, placement, dims, dataType })} at opset ${opset}, optimization ${optimization}`;
      const output = outputs[`w${i}_out`]!;
      expect(output.dims, label).toEqual(dims);
      const expected = await decoded(stored);
      const actual =
        dataType === DataType.FLOAT16
          ? Array.from(widen(dataType, output.data as Uint16Array))
          : Array.from(output.data as Float32Array);
      expect(actual.length).toBe(expected.length);
      const wrong = actual.findIndex((one, at) => !Object.is(one, expected[at]));
      expect(wrong, `${label}: ${actual[wrong]} for ${expected[wrong]} at ${wrong}`).toBe(-1);
    }
    await session.release();
  }
}

/** Seeded integers 0 … most − 1. */
function sequence(seed: number): (most: number) => number {
  let state = seed * 7919 + 17;
  return (most) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * most);
  };
}

interface Spec {
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly seed: number;
  readonly zeros: number;
  readonly levels: number;
  readonly integers: boolean;
  readonly scales: "row" | "rank 1" | "blocks" | "none";
  readonly half: boolean;
}

const specs: fc.Arbitrary<Spec> = fc.record({
  dims: fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 }),
  dataType: fc.constantFrom(DataType.FLOAT, DataType.FLOAT16, DataType.DOUBLE),
  seed: fc.nat(1e6),
  zeros: fc.constantFrom(0, 0.5, 0.9, 1),
  levels: fc.constantFrom(2, 3, 5, 7, 15, 16, 31, 255),
  integers: fc.boolean(),
  scales: fc.constantFrom("row", "rank 1", "blocks", "none"),
  half: fc.boolean(),
});

/** A weight of this kind; its last axis is cut into blocks of a divisor where that is asked for. */
function codedOf({ dims, dataType, seed, zeros, levels, integers, scales, half }: Spec): CodedWeight {
  const next = sequence(seed);
  const middle = levels >> 1;
  const table = Float32Array.from({ length: levels }, (_, i) =>
    i === middle ? 0 : integers ? i - middle : (i - middle) * (1 + next(100) / 1000),
  );
  const codes = Uint8Array.from({ length: elementCount(dims) }, () =>
    next(1000) < zeros * 1000 ? middle : next(levels),
  );
  const positive = (count: number) => Float32Array.from({ length: count }, () => 0.001 + next(1000) / 997);
  const [first = 1, last = 1] = [dims[0], dims.at(-1)];
  const block = last % 3 === 0 ? 3 : last % 2 === 0 ? 2 : 1;
  const view = scales === "blocks" ? [...dims.slice(0, -1), last / block, block] : dims;
  const along = (axis: number) => view.map((dim, i) => (i === axis ? dim : 1));
  const factors = {
    none: [],
    row: [factorOf(along(0), positive(first), half)],
    "rank 1": [
      factorOf(along(0), positive(first), half),
      factorOf(along(view.length - 1), positive(view.at(-1)!), !half),
    ],
    blocks: [
      factorOf(
        [...view.slice(0, -1), 1],
        positive(elementCount(view) / block).map((scale) => scale - 0.5),
        half,
      ),
    ],
  }[scales];
  return { dims, dataType, codes, levels: table, view, factors };
}

const kindOf = ({ elements, placement }: Decode) => `${elements.kind} ${placement.kind}`;
const only = (kind: string) => (decode: Decode) => kindOf(decode) === kind;

describe("digits in words", () => {
  test("come back, and take at most 8 bits, 3.2 for 7 levels and 1.6 for 3 where there are many", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 256 }),
        fc.array(fc.nat(255), { maxLength: 200 }),
        (base, list) => {
          const values = list.map((one) => one % base);
          const digits = digitsFor(base, values.length);
          const words = packDigits(digits, values);
          expect(words.byteLength).toBe(digitBytes(digits));
          expect([...unpackDigits(digits, words)]).toEqual(values);
        },
      ),
    );
    const bits = (base: number) => (digitBytes(digitsFor(base, 1e6)) * 8) / 1e6;
    expect(bits(2)).toBeCloseTo(1, 3);
    expect(bits(3)).toBeCloseTo(1.6, 3);
    expect(bits(5)).toBeCloseTo(32 / 13, 3);
    expect(bits(7)).toBeCloseTo(32 / 11, 3);
    expect(bits(9)).toBeCloseTo(3.2, 3);
    expect(bits(16)).toBeCloseTo(4, 3);
    expect(bits(256)).toBeCloseTo(8, 3);
  });
});

describe("gaps", () => {
  test("lead to every non-zero element in steps below the base", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1), { maxLength: 300 }),
        fc.integer({ min: 2, max: 256 }),
        (values, base) => {
          const { gaps, positions } = gapsOf(values, base);
          expect(gaps.length).toBe(countGaps(values, base));
          expect(gaps.every((gap) => gap < base)).toBe(true);
          const reached = new Set(positions);
          expect(reached.size).toBe(positions.length);
          values.forEach((one, i) => {
            if (one !== 0) expect(reached.has(i)).toBe(true);
          });
        },
      ),
    );
  });
});

describe("the nodes give exactly the decoded numbers in onnxruntime-web, folded or not", () => {
  const old = ["digits dense", "integers dense", "integers sparse"];
  const all = [...old, "digits mask", "digits gaps", "integers mask", "integers gaps"];
  for (const [opset, list] of [
    [7, old],
    [10, old],
    [13, all],
    [21, all],
  ] as const) {
    test(`quantised weights of any dims, scales and levels, opset ${opset}`, async () => {
      const seen = new Set<string>();
      await fc.assert(
        fc.asyncProperty(fc.array(specs, { minLength: 6, maxLength: 10 }), async (some) => {
          const made = some.flatMap((spec) => {
            const coded = codedOf(spec);
            const stored = list.flatMap((kind) => {
              if (kind.startsWith("integers") && !spec.integers) return [];
              if (/sparse|gaps/.test(kind) && coded.codes.every((code) => coded.levels[code] === 0))
                return [];
              return [storeCoded(coded, opset, only(kind))];
            });
            return [...stored, storeCoded(coded, opset)];
          });
          for (const stored of made) seen.add(kindOf(stored.decode));
          const first = codedOf(some[0]!);
          expect(await decoded(made[0]!)).toEqual(rounded(first.dataType, valuesOf(first)));
          await expectExact(made, opset);
        }),
        { numRuns: 6, seed: opset },
      );
      expect([...seen].sort()).toEqual([...list].sort());
    });
  }

  test("plain and half weights of any dims, opset 7 and 13", async () => {
    const kinds13 = ["numbers dense", "numbers sparse", "numbers mask", "numbers gaps"];
    await fc.assert(
      fc.asyncProperty(fc.array(specs, { minLength: 4, maxLength: 8 }), async (some) => {
        for (const [opset, allowed] of [
          [7, kinds13.slice(0, 2)],
          [13, kinds13],
        ] as const) {
          const all = some.flatMap((spec) => {
            const weight = plainOf(spec);
            const zero = weight.values.every((one) => one === 0);
            return allowed.flatMap((kind) =>
              /sparse|gaps/.test(kind) && zero
                ? []
                : [storePlain(weight, opset, only(kind)), storeHalf(weight, opset, only(kind))],
            );
          });
          await expectExact(all, opset);
        }
      }),
      { numRuns: 5, seed: 1 },
    );
  });

  test("DequantizeLinear by axis and by block, opset 13 and 21", async () => {
    const kind = { dataType: DataType.FLOAT, integers: true, zeros: 0.2, half: false };
    const row = codedOf({ ...kind, dims: [5, 7, 3, 3], seed: 1, levels: 255, scales: "row" });
    const block = codedOf({ ...kind, dims: [6, 6], seed: 2, levels: 15, scales: "blocks", half: true });
    expect(storeDequantized(block, 20)).toBeNull();
    expect(storeDequantized({ ...row, factors: [] }, 21)).toBeNull();
    const list = [storeDequantized(row, 21)!, storeDequantized(block, 21)!];
    expect(list.map(({ decode }) => decode.elements)).toEqual([
      { kind: "integers", dataType: DataType.INT8 },
      { kind: "integers", dataType: DataType.INT4 },
    ]);
    await expectExact(list, 21);
    await expectExact([storeDequantized(row, 13)!], 13);
    expect(await decoded(list[1]!)).toEqual(codedValues(block));
  });
});

const valuesOf = (coded: CodedWeight) =>
  coded.dataType === DataType.DOUBLE ? Float64Array.from(codedValues(coded)) : codedValues(coded);

function plainOf(spec: Spec): LayerWeight {
  const values = codedValues(codedOf(spec)).map((one) => one + 0);
  return { dims: spec.dims, dataType: spec.dataType, values: rounded(spec.dataType, toType(spec, values)) };
}

const toType = ({ dataType }: Spec, values: Float32Array) =>
  dataType === DataType.DOUBLE ? Float64Array.from(values) : values;

test("the smallest storage is chosen: digits for few levels, a mask for half, gaps for many zeros", () => {
  const kind = {
    dims: [64, 8, 3, 3],
    dataType: DataType.FLOAT,
    seed: 3,
    integers: true,
    half: false,
  } as const;
  const stored = (zeros: number, levels: number, opset: number) =>
    storeCoded(codedOf({ ...kind, zeros, levels, scales: "row" }), opset);
  const count = elementCount(kind.dims);
  const dense8 = stored(0, 255, 13);
  expect(kindOf(dense8.decode)).toBe("integers dense");
  expect(dense8.bytes).toBeLessThan(count + 64 * 4 + 150);
  const dense4 = stored(0, 15, 13);
  expect(kindOf(dense4.decode)).toBe("digits dense");
  expect(dense4.bytes).toBeLessThan(count / 2 + 64 * 4 + 500);
  expect(kindOf(stored(0, 15, 21).decode)).toBe("integers dense");
  expect(stored(0, 15, 21).bytes).toBeLessThan(dense4.bytes);
  expect(kindOf(stored(0.6, 255, 13).decode)).toContain("mask");
  expect(kindOf(stored(0.95, 255, 13).decode)).toContain("gaps");
  expect(stored(0.95, 255, 13).bytes).toBeLessThan(count * 0.12 + 64 * 4 + 800);
});

test("the estimate of bytes is within 3% and 100 bytes of what the file grows by", async () => {
  const spec: Spec = {
    dims: [32, 16, 3, 3],
    dataType: DataType.FLOAT,
    seed: 5,
    zeros: 0.7,
    levels: 15,
    integers: true,
    scales: "rank 1",
    half: true,
  };
  const coded = codedOf(spec);
  const empty = (await modelBytes(modelOfWeights([], 13))).length;
  for (const stored of [
    storeCoded(coded, 13),
    storeCoded(coded, 13, only("digits dense")),
    storeCoded(coded, 13, only("integers gaps")),
    storePlain(plainOf(spec), 13),
    storePlain(plainOf(spec), 7),
  ]) {
    const grown = (await modelBytes(modelOfWeights([stored], 13))).length - empty - 60;
    expect(Math.abs(grown - stored.bytes)).toBeLessThan(100 + 0.03 * grown);
  }
});

test("a weight in parts loads in onnxruntime-node as well", async () => {
  const coded = codedOf({
    dims: [8, 12],
    dataType: DataType.FLOAT,
    seed: 4,
    zeros: 0.4,
    levels: 7,
    integers: true,
    scales: "blocks",
    half: true,
  });
  for (const kind of ["digits dense", "digits mask", "integers gaps", "integers dense"]) {
    const model = modelOfWeights([storeCoded(coded, 13, only(kind))], 13);
    const session = await ortNode.InferenceSession.create(await modelBytes(model), { logSeverityLevel: 3 });
    const output = (await session.run({})).w0_out!;
    expect([...(output.data as Float32Array)]).toEqual([...codedValues(coded)]);
  }
});
