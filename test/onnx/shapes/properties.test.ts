import fc from "fast-check";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { DataType } from "../../../src/onnx/data-type.ts";
import { broadcast, solveReshape } from "../../../src/onnx/shapes/dims.ts";
import { sliceSize } from "../../../src/onnx/shapes/rules/indexing.ts";
import { einsumDims } from "../../../src/onnx/shapes/rules/matmul.ts";
import { transposedSize, windowOf, windowSize } from "../../../src/onnx/shapes/window.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import { input, modelOf, nodeOf } from "./graphs.ts";

const size = fc.integer({ min: 1, max: 9 });

test("a slice has as many elements as onnxruntime-node takes, for every start, end and step near the size", async () => {
  const vector = (name: string) => input(name, [null], DataType.INT64);
  const model = modelOf(
    {
      inputs: ["data", "start", "end", "axis", "step"].map(vector),
      outputs: [vector("y")],
      nodes: [nodeOf("Slice", ["data", "start", "end", "axis", "step"], ["y"])],
    },
    13,
  );
  const session = await InferenceSession.create(await modelBytes(model), {
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  const int64 = (...data: number[]) => new Tensor("int64", BigInt64Array.from(data, BigInt), [data.length]);
  const bounds = [-7, -5, -3, -2, -1, 0, 1, 2, 4, 6];
  for (const length of [0, 1, 2, 4]) {
    const data = int64(...Array.from({ length }, (_, i) => i));
    for (const start of bounds) {
      for (const end of [...bounds, 2 ** 31 - 1, -(2 ** 31), 2 ** 40]) {
        for (const step of [-3, -1, 1, 2]) {
          const feeds = { data, start: int64(start), end: int64(end), axis: int64(0), step: int64(step) };
          const { y } = await session.run(feeds);
          expect([length, start, end, step, sliceSize(length, start, end, step)]).toEqual([
            length,
            start,
            end,
            step,
            y?.dims[0],
          ]);
        }
      }
    }
  }
});

describe("windows", () => {
  const node = (strides: number, dilations: number, pads: readonly number[], ceil = 0) =>
    nodeOf("MaxPool", ["x"], ["y"], {
      strides: { type: "ints", value: [strides] },
      dilations: { type: "ints", value: [dilations] },
      pads: { type: "ints", value: pads },
      ceil_mode: { type: "int", value: ceil },
    });

  test("take as many positions as fit when they are counted one by one", () => {
    const pad = fc.integer({ min: 0, max: 3 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        size,
        size,
        size,
        pad,
        pad,
        (length, kernel, stride, gap, a, b) => {
          const extent = (kernel - 1) * gap + 1;
          fc.pre(extent <= length + a + b);
          let count = 0;
          for (let at = 0; at + extent <= length + a + b; at += stride) count++;
          expect(windowSize(windowOf(node(stride, gap, [a, b]), [kernel]), 0, length)).toBe(count);
        },
      ),
    );
  });

  test("a transposed convolution undoes the size of the convolution of the same geometry, up to the rest", () => {
    fc.assert(
      fc.property(fc.integer({ min: 9, max: 40 }), size, size, (length, kernel, stride) => {
        const window = windowOf(node(stride, 1, [0, 0]), [kernel]);
        const down = windowSize(window, 0, length) as number;
        const rest = (length - kernel) % stride;
        expect(transposedSize(window, 0, down)).toBe(length - rest);
      }),
    );
  });
});

test("a reshape with one open dimension keeps the number of elements, symbols included", () => {
  const dim = fc.oneof(size, fc.constantFrom("N", "T", "W"));
  fc.assert(
    fc.property(fc.array(dim, { minLength: 1, maxLength: 6 }), fc.nat(), (dims, seed) => {
      // Any permutation of the dims with one replaced by -1 has to give that one back.
      const target = [...dims].sort((a, b) => `${a}${seed}`.localeCompare(`${b}`));
      const open = seed % target.length;
      const expected = target[open];
      const given = target.map((value, i) => (i === open ? -1 : value));
      expect(solveReshape(dims, given, () => expect.unreachable())[open]).toBe(expected);
    }),
  );
});

test("broadcasting does not depend on the order of the shapes", () => {
  const shape = fc.array(fc.constantFrom(1, 1, 4, "N", null), { maxLength: 5 });
  fc.assert(
    fc.property(shape, shape, (a, b) => {
      const mismatch = () => expect.unreachable();
      expect(broadcast([a, b], mismatch)).toEqual(broadcast([b, a], mismatch));
    }),
  );
});

test.each([
  [
    "ij,jk->ik",
    [
      [2, 3],
      [3, 4],
    ],
    [2, 4],
  ],
  [
    "ij,jk",
    [
      [2, 3],
      [3, 4],
    ],
    [2, 4],
  ],
  ["...ii->...i", [[5, 6, 3, 3]], [5, 6, 3]],
  [
    "b...ij,bjk->b...ik",
    [
      ["N", 7, 2, 3],
      ["N", 3, 4],
    ],
    ["N", 7, 2, 4],
  ],
  ["i,i->", [[3], [3]], []],
] as const)("Einsum %s", (equation, operands, expected) => {
  expect(einsumDims(equation, operands)).toEqual(expected);
});
