import { DataType } from "../../src/onnx/data-type.ts";
import { nodeOf } from "../../src/onnx/edit.ts";
import type { Model, Node, Tensor, ValueInfo } from "../../src/onnx/model.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { seededSource } from "./seeded-source.ts";

const WIDTH = 1024;
const HEADS = 16;
const INNER = 4096;
const VOCABULARY = 16_000;
const FLOAT_BYTES = 4;

const LAYER_BYTES = FLOAT_BYTES * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER);
const ENDS_BYTES = FLOAT_BYTES * 2 * VOCABULARY * WIDTH;

/** A language model of about so many bytes with seeded weights: embedding, blocks of attention and two matrices, and a last matrix. */
export function transformer(bytes: number): Model {
  const nodes: Node[] = [];
  const initializers: Tensor[] = [];
  let seed = 0;
  const weight = (name: string, dims: readonly number[], deviation: number) => {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const source = seededSource(++seed, count, deviation);
    const payload = { source, offset: 0, length: source.size };
    initializers.push({ name, dataType: DataType.FLOAT, dims, data: { kind: "raw", bytes: payload } });
    return name;
  };
  const constant = (name: string, dims: readonly number[], values: number[]) => {
    initializers.push(tensorOf(name, { dataType: DataType.FLOAT, dims, data: Float32Array.from(values) }));
    return name;
  };
  const shape = (name: string, values: number[]) => {
    const data = BigInt64Array.from(values, BigInt);
    initializers.push(tensorOf(name, { dataType: DataType.INT64, dims: [values.length], data }));
    return name;
  };
  const add = (
    op: string,
    inputs: string[],
    output: string,
    attributes: Parameters<typeof nodeOf>[3] = {},
  ) => {
    nodes.push({ ...nodeOf(op, inputs, [output], attributes), name: output });
    return output;
  };
  const matmul = (input: string, output: string, from: number, to: number) =>
    add("MatMul", [input, weight(`${output}.weight`, [from, to], 1 / Math.sqrt(from))], output);
  const normed = (input: string, output: string) =>
    add(
      "LayerNormalization",
      [
        input,
        constant(`${output}.scale`, [WIDTH], new Array(WIDTH).fill(1)),
        constant(`${output}.bias`, [WIDTH], new Array(WIDTH).fill(0)),
      ],
      output,
      { axis: { type: "int", value: -1 } },
    );
  const permuted = (input: string, output: string, order: number[]) =>
    add("Transpose", [input], output, { perm: { type: "ints", value: order } });

  const split = shape("split", [0, 0, HEADS, WIDTH / HEADS]);
  const merged = shape("merged", [0, 0, WIDTH]);
  const scale = constant("attention.scale", [], [1 / Math.sqrt(WIDTH / HEADS)]);
  let x = add("Gather", [weight("embedding", [VOCABULARY, WIDTH], 1), "tokens"], "embedded");
  const blocks = Math.max(1, Math.round((bytes - ENDS_BYTES) / LAYER_BYTES));
  for (let block = 0; block < blocks; block++) {
    const name = (part: string) => `block${block}.${part}`;
    const input = normed(x, name("norm1"));
    const [q, k, v] = (["q", "k", "v"] as const).map((part) =>
      permuted(
        add("Reshape", [matmul(input, name(part), WIDTH, WIDTH), split], name(`${part}.split`)),
        name(`${part}.heads`),
        part === "k" ? [0, 2, 3, 1] : [0, 2, 1, 3],
      ),
    ) as [string, string, string];
    const scores = add("Mul", [add("MatMul", [q, k], name("products")), scale], name("scores"));
    const shares = add("Softmax", [scores], name("shares"), { axis: { type: "int", value: -1 } });
    const heads = permuted(add("MatMul", [shares, v], name("mixed")), name("mixed.t"), [0, 2, 1, 3]);
    const attended = matmul(add("Reshape", [heads, merged], name("merged")), name("out"), WIDTH, WIDTH);
    x = add("Add", [x, attended], name("sum1"));
    const wide = matmul(normed(x, name("norm2")), name("up"), WIDTH, INNER);
    x = add("Add", [x, matmul(add("Relu", [wide], name("relu")), name("down"), INNER, WIDTH)], name("sum2"));
  }
  matmul(normed(x, "norm"), "logits", WIDTH, VOCABULARY);
  const info = (name: string, dataType: number, shape: readonly (number | string)[]): ValueInfo => ({
    name,
    type: { kind: "tensor", dataType, shape },
  });
  return {
    irVersion: 8,
    opsetImports: [{ domain: "", version: 17 }],
    metadata: [],
    functions: [],
    graph: {
      name: "transformer",
      nodes,
      initializers,
      sparseInitializers: [],
      valueInfo: [],
      inputs: [info("tokens", DataType.INT64, [1, "length"])],
      outputs: [info("logits", DataType.FLOAT, [1, "length", VOCABULARY])],
    },
  };
}
