import { expect, test } from "vitest";
import { executable } from "../../../src/evaluate/segments/executable.ts";
import { atMost } from "../../../src/evaluate/segments/execution.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import { nodeOf } from "../../../src/onnx/edit.ts";
import type { Model, Node, Tensor } from "../../../src/onnx/model.ts";
import type { ByteSource } from "../../../src/onnx/source.ts";
import { tensorByteLength } from "../../../src/onnx/tensor.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import { graphOf, modelOf, value } from "../../compress/tiny.ts";
import { MemoryScratch } from "./answers.ts";

const MiB = 2 ** 20;

/** A float tensor whose numbers are made when they are read, so that nothing but the model under test takes memory. */
function madeTensor(name: string, dims: readonly [number, number], seed: number): Tensor {
  const size = dims[0] * dims[1] * 4;
  const source: ByteSource = {
    size,
    async read(offset, length) {
      const first = Math.floor(offset / 4);
      const numbers = new Float32Array(Math.ceil((offset + length) / 4) - first);
      for (let i = 0; i < numbers.length; i++) {
        const mixed = Math.imul(first + i + seed * 7919, 0x9e3779b1);
        numbers[i] = (Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) / 2 ** 31) * 0.03;
      }
      return new Uint8Array(numbers.buffer, offset - first * 4, length);
    },
  };
  return {
    name,
    dataType: DataType.FLOAT,
    dims,
    data: { kind: "raw", bytes: { source, offset: 0, length: size } },
  };
}

/** Words, hidden layers with residuals, and scores of all words. */
function languageModel(layers: number, width: number, words: number): Model {
  const nodes: Node[] = [nodeOf("Gather", ["table", "words"], ["h0"])];
  const initializers = [madeTensor("table", [words, width], 0), madeTensor("head", [width, words], 1)];
  for (let i = 0; i < layers; i++) {
    initializers.push(madeTensor(`w${i}`, [width, width], i + 2));
    nodes.push(nodeOf("MatMul", [`h${i}`, `w${i}`], [`m${i}`]), nodeOf("Relu", [`m${i}`], [`r${i}`]));
    nodes.push(nodeOf("Add", [`r${i}`, `h${i}`], [`h${i + 1}`]));
  }
  nodes.push(nodeOf("MatMul", [`h${layers}`, "head"], ["y"]));
  const inputs = [value("words", ["length"], DataType.INT64)];
  return modelOf(graphOf({ nodes, initializers, inputs, outputs: [value("y", ["length", words])] }));
}

test("a model of 165 MB runs in 32 MiB, of which the runtime's WASM takes at most 24 beside its first 16", async () => {
  const model = languageModel(8, 1024, 16_000);
  const bytes = model.graph.initializers.reduce((sum, tensor) => sum + tensorByteLength(tensor), 0);
  expect(bytes).toBeGreaterThan(164e6);
  const runtime = await nodeRuntime();
  const session = await executable(model, {
    runtime,
    memory: atMost(32 * MiB),
    scratch: new MemoryScratch(),
  }).open([]);
  expect(session.isWhole).toBe(false);
  const data = BigInt64Array.from({ length: 16 }, (_, i) => BigInt(i * 977));
  const answer = await session.run({ words: { dataType: DataType.INT64, dims: [16], data } });
  expect(answer.y!.dims).toEqual([16, 16_000]);
  expect(runtime.memoryBytes()).toBeLessThan((16 + 24) * MiB);
}, 60_000);
