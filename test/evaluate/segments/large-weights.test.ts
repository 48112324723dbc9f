import { describe, expect, test } from "vitest";
import { collectMoments } from "../../../src/evaluate/moments/collect.ts";
import { atMost } from "../../../src/evaluate/segments/execution.ts";
import { SegmentLoader } from "../../../src/evaluate/segments/segment-loader.ts";
import { SegmentPlan } from "../../../src/evaluate/segments/segment-plan.ts";
import { referenceKernels } from "../../../src/kernels/reference/kernels.ts";
import { columnsOf, rowsOf } from "../../../src/onnx/columns.ts";
import { narrow } from "../../../src/onnx/constant/half.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import { nodeOf } from "../../../src/onnx/edit.ts";
import type { Model, Node, Tensor } from "../../../src/onnx/model.ts";
import { type ByteSource, bytesSource, load } from "../../../src/onnx/source.ts";
import { tensorOf } from "../../../src/onnx/tensor.ts";
import { RuntimeRunError } from "../../../src/runtime/errors.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { floats, floatTensor, graphOf, modelOf, value } from "../../compress/tiny.ts";
import { answersOf, bitsOf, MemoryScratch } from "./answers.ts";

const WORDS = 2000;
const WIDTH = 300;
const TABLE_BYTES = WORDS * WIDTH * 4;

/** Words, a hidden layer, and scores of all words, in each of the ways in which exporters write the last layer. */
function languageModel(
  head: "MatMul" | "MatMul+Add" | "Add+MatMul" | "tied" | "Gemm" | "Gemm transB",
): Model {
  const turned = head === "Gemm transB";
  const last: Record<typeof head, readonly Node[]> = {
    MatMul: [nodeOf("MatMul", ["h", "head"], ["y"])],
    "MatMul+Add": [nodeOf("MatMul", ["h", "head"], ["p"]), nodeOf("Add", ["p", "bias"], ["y"])],
    "Add+MatMul": [nodeOf("MatMul", ["h", "head"], ["p"]), nodeOf("Add", ["bias", "p"], ["y"])],
    tied: [nodeOf("Transpose", ["table"], ["turned"]), nodeOf("MatMul", ["h", "turned"], ["y"])],
    Gemm: [nodeOf("Gemm", ["h", "head", "bias"], ["y"])],
    "Gemm transB": [nodeOf("Gemm", ["h", "head", "bias"], ["y"], { transB: { type: "int", value: 1 } })],
  };
  const dims = turned ? [WORDS, WIDTH] : [WIDTH, WORDS];
  return modelOf(
    graphOf({
      nodes: [
        nodeOf("Gather", ["table", "words"], ["e"]),
        nodeOf("MatMul", ["e", "w"], ["m"]),
        nodeOf("Relu", ["m"], ["h"]),
        ...last[head],
      ],
      initializers: [
        floatTensor("table", [WORDS, WIDTH], floats([WORDS, WIDTH], 1)),
        floatTensor("w", [WIDTH, WIDTH], floats([WIDTH, WIDTH], 2)),
        floatTensor("head", dims, floats(dims, 3)),
        floatTensor("bias", [WORDS], floats([WORDS], 4)),
      ],
      inputs: [value("words", ["length"], DataType.INT64)],
      outputs: [value("y", ["length", WORDS])],
    }),
  );
}

/** The model with its table and its head stored otherwise: what computes them of what is stored. */
function storedAs(coding: "int8 by column" | "int8 by row" | "int8 by block" | "half" | "shifted"): Model {
  const model = languageModel("MatMul");
  const nodes: Node[] = [];
  const initializers: Tensor[] = [];
  const decoded = (name: string, [rows, columns]: readonly [number, number], seed: number) => {
    const dims = [rows, columns];
    const random = floats(dims, seed);
    const codes = tensorOf(`${name}.codes`, {
      dataType: DataType.INT8,
      dims,
      data: Int8Array.from(random, (one) => 60 * one),
    });
    const add = (
      op: string,
      inputs: string[],
      output: string,
      attributes: Parameters<typeof nodeOf>[3] = {},
    ) => nodes.push(nodeOf(op, inputs, [output], attributes));
    const factor = (...dims: number[]) => {
      initializers.push(floatTensor(`${name}.factor`, dims, floats(dims, seed + 1)));
      return `${name}.factor`;
    };
    if (coding !== "half") initializers.push(codes);
    const int = (value: number) => ({ type: "int" as const, value });
    if (coding === "int8 by column") {
      add("DequantizeLinear", [codes.name, factor(columns)], name, { axis: int(-1) });
    } else if (coding === "int8 by row") {
      add("DequantizeLinear", [codes.name, factor(rows)], name, { axis: int(0) });
    } else if (coding === "int8 by block") {
      const [axis, size] = name === "table" ? [1, 100] : [0, 100];
      const blocks = axis === 1 ? [rows, columns / size] : [rows / size, columns];
      add("DequantizeLinear", [codes.name, factor(...blocks)], name, {
        axis: int(axis),
        block_size: int(size),
      });
    } else if (coding === "half") {
      const data = narrow(DataType.FLOAT16, Float64Array.from(random));
      initializers.push(tensorOf(`${name}.half`, { dataType: DataType.FLOAT16, dims, data }));
      add("Cast", [`${name}.half`], name, { to: int(DataType.FLOAT) });
    } else {
      add("Cast", [codes.name], `${name}.cast`, { to: int(DataType.FLOAT) });
      add("Mul", [`${name}.cast`, factor(rows, 1)], `${name}.scaled`);
      initializers.push(floatTensor(`${name}.mean`, [], Float32Array.of(0.01)));
      add("Add", [`${name}.mean`, `${name}.scaled`], name);
    }
  };
  decoded("table", [WORDS, WIDTH], 5);
  decoded("head", [WIDTH, WORDS], 7);
  const kept = model.graph.initializers.filter(({ name }) => name !== "table" && name !== "head");
  return {
    ...model,
    opsetImports: [{ domain: "", version: 21 }],
    irVersion: 10,
    graph: {
      ...model.graph,
      nodes: [...nodes, ...model.graph.nodes],
      initializers: [...initializers, ...kept],
    },
  };
}

const words = (...numbers: number[]): Feeds => ({
  words: { dataType: DataType.INT64, dims: [numbers.length], data: BigInt64Array.from(numbers, BigInt) },
});
const FEEDS = [words(5, 1999, 0, 5, 6, -1), words(1000)];
const HEADS = ["MatMul", "MatMul+Add", "Add+MatMul", "tied", "Gemm", "Gemm transB"] as const;

describe("weights that no budget holds", () => {
  test.each(HEADS)(
    "a language model that ends with %s answers as it does whole, to the bit",
    async (head) => {
      const model = languageModel(head);
      const whole = await answersOf(model, FEEDS, Number.POSITIVE_INFINITY);
      const parts = await answersOf(model, FEEDS, TABLE_BYTES, new MemoryScratch());
      expect(parts.segments).toBeGreaterThan(6);
      expect(parts.parted).toBe(0);
      expect(bitsOf(parts.answers)).toBe(bitsOf(whole.answers));
    },
  );

  test.each(["int8 by column", "int8 by row", "int8 by block", "half", "shifted"] as const)(
    "stored as %s they are decoded part by part, and the model answers as it does whole, to the bit",
    async (coding) => {
      const model = storedAs(coding);
      const whole = await answersOf(model, FEEDS, Number.POSITIVE_INFINITY);
      const parts = await answersOf(model, FEEDS, TABLE_BYTES, new MemoryScratch());
      expect(parts.segments).toBeGreaterThan(4);
      expect(bitsOf(parts.answers)).toBe(bitsOf(whole.answers));
      const memory = atMost(TABLE_BYTES);
      const plan = await SegmentPlan.of(model, FEEDS, {
        runtime: await nodeRuntime(),
        memory,
        scratch: null,
      });
      const [first] = await plan!.segments(["y"]);
      expect(first!.rows).not.toBeNull();
    },
  );

  test("no segment is given more of a weight than the budget, and none the table of words", async () => {
    const model = languageModel("MatMul");
    const runtime = await nodeRuntime();
    const plan = await SegmentPlan.of(model, FEEDS, { runtime, memory: atMost(TABLE_BYTES), scratch: null });
    const segments = await plan!.segments(["y"]);
    expect(segments[0]!.rows).not.toBeNull();
    for (const { model: part, rows } of segments) {
      if (rows) continue;
      const bytes = part.graph.initializers.reduce((sum, { dims }) => sum + dims[0]! * (dims[1] ?? 1) * 4, 0);
      expect(3 * bytes).toBeLessThanOrEqual(TABLE_BYTES);
      await (await new SegmentLoader(runtime).load(part)).release();
    }
  });

  test("their moments are those of the whole model, to the bit", async () => {
    const model = languageModel("MatMul+Add");
    const momentsIn = async (memory: number) => {
      const execution = { runtime: await nodeRuntime(), memory: atMost(memory), scratch: null };
      return Array.fromAsync(collectMoments({ model, feeds: FEEDS, execution, kernels: referenceKernels }));
    };
    const whole = await momentsIn(Number.POSITIVE_INFINITY);
    expect(whole.filter(({ matrices }) => matrices !== null)).toHaveLength(2);
    expect(bitsOf(await momentsIn(TABLE_BYTES))).toBe(bitsOf(whole));
  });

  test("a row outside the table is refused, as the runtime does", async () => {
    for (const memory of [TABLE_BYTES, Number.POSITIVE_INFINITY]) {
      await expect(answersOf(languageModel("MatMul"), [words(WORDS)], memory)).rejects.toThrow(
        RuntimeRunError,
      );
    }
  });
});

test("rows of a matrix are read as they are needed, in any order, and neighbours together", async () => {
  const matrix = Uint8Array.from({ length: 12 * 10 }, (_, i) => i);
  const inner = bytesSource(matrix);
  let reads = 0;
  const source: ByteSource = {
    size: inner.size,
    read: (offset, length) => {
      reads++;
      return inner.read(offset, length);
    },
  };
  const places = [7, 8, 9, 0, 11, 11, 3];
  const picked = rowsOf({ source, offset: 0, length: matrix.length }, 10, places);
  const expected = places.flatMap((row) => [...matrix.subarray(row * 10, row * 10 + 10)]);
  expect([...(await load(picked))]).toEqual(expected);
  expect(reads).toBe(5);
  if (picked instanceof Uint8Array) throw new Error("nothing should have been read yet");
  for (let offset = 0; offset <= expected.length; offset += 7) {
    for (let length = 0; offset + length <= expected.length; length += 9) {
      const read = await picked.source.read(offset, length);
      expect([...read]).toEqual(expected.slice(offset, offset + length));
    }
  }
});

test("columns of a matrix are read as they are needed, whatever part of them is asked for", async () => {
  const matrix = Uint8Array.from({ length: 12 * 10 }, (_, i) => i);
  const source = bytesSource(matrix);
  const picked = columnsOf({ source, offset: 0, length: matrix.length }, 10, 3, 7);
  const expected = Array.from({ length: 12 }, (_, row) =>
    [3, 4, 5, 6].map((column) => row * 10 + column),
  ).flat();
  expect([...(await load(picked))]).toEqual(expected);
  if (picked instanceof Uint8Array) throw new Error("nothing should have been read yet");
  for (const [offset, length] of [
    [0, 1],
    [5, 3],
    [6, 30],
    [47, 1],
    [13, 0],
  ] as const) {
    expect([...(await picked.source.read(offset, length))]).toEqual(expected.slice(offset, offset + length));
  }
});
