import { DataType } from "../../onnx/data-type.ts";
import type { Model } from "../../onnx/model.ts";
import { ShapeOnlyBuilder } from "./builder.ts";

export interface TransformerShape {
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly steps: number;
  readonly vocabulary: number;
  /** LayerNorm before each block (GPT) or after it (BERT). */
  readonly preNorm: boolean;
  /** Whether logits over the vocabulary come out (GPT). */
  readonly decodes: boolean;
}

/** Encoder or decoder stack: the causal mask changes no shape and is left out. */
export function transformer(shape: TransformerShape): Model {
  const { layers, width, heads, steps, vocabulary, preNorm } = shape;
  const b = new ShapeOnlyBuilder(shape.name);
  const tokens = b.input("tokens", ["batch", steps], DataType.INT64);
  const table = b.weight("embedding.weight", [vocabulary, width]);
  let x = b.node("embedding", "Gather", [table, tokens]);
  for (let layer = 0; layer < layers; layer++) {
    const name = `layer${layer}`;
    const attended = attention(b, name, preNorm ? b.layerNorm(`${name}.norm1`, x, width) : x, width, heads);
    x = b.node(`${name}.add1`, "Add", [x, attended]);
    if (!preNorm) x = b.layerNorm(`${name}.norm1`, x, width);
    const inner = b.linear(
      `${name}.up`,
      preNorm ? b.layerNorm(`${name}.norm2`, x, width) : x,
      width,
      4 * width,
    );
    const active = b.node(`${name}.gelu`, "Gelu", [inner]);
    x = b.node(`${name}.add2`, "Add", [x, b.linear(`${name}.down`, active, 4 * width, width)]);
    if (!preNorm) x = b.layerNorm(`${name}.norm2`, x, width);
  }
  if (preNorm) x = b.layerNorm("norm", x, width);
  return b.build(shape.decodes ? b.linear("head", x, width, vocabulary) : x);
}

function attention(b: ShapeOnlyBuilder, name: string, x: string, width: number, heads: number): string {
  const size = width / heads;
  const split = (part: string, ...order: number[]) => {
    const projected = b.linear(`${name}.${part}`, x, width, width);
    const shaped = b.reshape(`${name}.${part}.split`, projected, [0, 0, heads, size]);
    return b.transpose(`${name}.${part}.heads`, shaped, ...order);
  };
  const q = split("query", 0, 2, 1, 3);
  const k = split("key", 0, 2, 3, 1);
  const v = split("value", 0, 2, 1, 3);
  const scores = b.node(`${name}.scores`, "MatMul", [q, k]);
  const weights = b.node(`${name}.softmax`, "Softmax", [scores], { axis: { type: "int", value: -1 } });
  const mixed = b.node(`${name}.mix`, "MatMul", [weights, v]);
  const merged = b.transpose(`${name}.merge`, mixed, 0, 2, 1, 3);
  return b.linear(`${name}.project`, b.reshape(`${name}.concat`, merged, [0, 0, width]), width, width);
}

/** Devlin et al. 2018, 512 tokens. */
export const BERT: Readonly<Record<"base" | "large", TransformerShape>> = {
  base: bert("base", 12, 768, 12),
  large: bert("large", 24, 1024, 16),
};

function bert(size: string, layers: number, width: number, heads: number): TransformerShape {
  return {
    name: `bert-${size}`,
    layers,
    width,
    heads,
    steps: 512,
    vocabulary: 30522,
    preNorm: false,
    decodes: false,
  };
}

/** Brown et al. 2020, table 2.1, 2,048 tokens. */
export const GPT3: Readonly<Record<string, TransformerShape>> = Object.fromEntries(
  (
    [
      ["125m", 12, 768, 12],
      ["350m", 24, 1024, 16],
      ["760m", 24, 1536, 16],
      ["1.3b", 24, 2048, 32],
      ["2.7b", 32, 2560, 32],
      ["6.7b", 32, 4096, 32],
      ["13b", 40, 5120, 40],
      ["175b", 96, 12288, 96],
    ] as const
  ).map(([size, layers, width, heads]): [string, TransformerShape] => [
    `gpt3-${size}`,
    {
      name: `gpt3-${size}`,
      layers,
      width,
      heads,
      steps: 2048,
      vocabulary: 50257,
      preNorm: true,
      decodes: true,
    },
  ]),
);
