import fc from "fast-check";
import type { Model, Node, Tensor } from "../../../src/onnx/model.ts";
import { floats, floatTensor, graphOf, int, ints, modelOf, node, value } from "../../compress/tiny.ts";

/** What a step of a chain adds; its number chooses sizes. */
export type Step =
  | "conv"
  | "pointwise"
  | "depthwise"
  | "transposed"
  | "relu"
  | "norm"
  | "pool"
  | "residual"
  | "squeeze"
  | "concat";

const STEPS: readonly Step[] = [
  "conv",
  "pointwise",
  "depthwise",
  "transposed",
  "relu",
  "norm",
  "pool",
  "residual",
  "squeeze",
  "concat",
];

export interface RandomModel {
  readonly model: Model;
  readonly dims: readonly number[];
  readonly steps: readonly Step[];
}

/** Small convolutional networks with branches, ending in two fully connected layers. */
export const randomModels: fc.Arbitrary<RandomModel> = fc
  .array(fc.tuple(fc.constantFrom(...STEPS), fc.integer({ min: 2, max: 9 })), { minLength: 1, maxLength: 6 })
  .map((drawn) => {
    const chain = new Chain();
    for (const [step, size] of drawn) chain.add(step, size);
    return { model: chain.finish(), dims: [1, 4, 8, 8], steps: drawn.map(([step]) => step) };
  });

class Chain {
  readonly #nodes: Node[] = [];
  readonly #weights: Tensor[] = [];
  #value = "x";
  #channels = 4;
  #size = 8;

  add(step: Step, size: number): void {
    const [x, c] = [this.#value, this.#channels];
    switch (step) {
      case "conv":
        this.#make("Conv", [x, this.#weight([size, c, 3, 3], 9 * c), this.#weight([size], 1)], {
          pads: ints(1, 1, 1, 1),
        });
        this.#channels = size;
        break;
      case "pointwise":
        this.#make("Conv", [x, this.#weight([size, c, 1, 1], c)]);
        this.#channels = size;
        break;
      case "depthwise":
        this.#make("Conv", [x, this.#weight([c, 1, 3, 3], 9)], { group: int(c), pads: ints(1, 1, 1, 1) });
        break;
      case "transposed":
        this.#make("ConvTranspose", [x, this.#weight([c, size, 1, 1], c), this.#weight([size], 1)]);
        this.#channels = size;
        break;
      case "relu":
        this.#make("Relu", [x]);
        break;
      case "norm": {
        const variance = floatTensor(
          "",
          [c],
          floats([c], 7).map((v) => 1 + Math.abs(v)),
        );
        this.#weights.push({ ...variance, name: `variance${this.#weights.length}` });
        const name = this.#weights.at(-1)!.name;
        this.#make("BatchNormalization", [
          x,
          this.#weight([c], 1),
          this.#weight([c], 1),
          this.#weight([c], 1),
          name,
        ]);
        break;
      }
      case "pool":
        if (this.#size > 2) {
          this.#make("MaxPool", [x], { kernel_shape: ints(2, 2), strides: ints(2, 2) });
          this.#size /= 2;
        }
        break;
      case "residual":
        this.#make("Conv", [x, this.#weight([c, c, 3, 3], 9 * c)], { pads: ints(1, 1, 1, 1) });
        this.#make("Add", [this.#value, x]);
        break;
      case "squeeze":
        this.#make("GlobalAveragePool", [x]);
        this.#make("Conv", [this.#value, this.#weight([c, c, 1, 1], c)]);
        this.#make("Sigmoid", [this.#value]);
        this.#make("Mul", [x, this.#value]);
        break;
      case "concat":
        this.#make("Conv", [x, this.#weight([size, c, 1, 1], c)]);
        this.#make("Concat", [this.#value, x], { axis: int(1) });
        this.#channels = c + size;
        break;
    }
  }

  finish(): Model {
    const features = this.#channels * this.#size * this.#size;
    this.#make("Flatten", [this.#value]);
    this.#make("Gemm", [this.#value, this.#weight([features, 6], features), this.#weight([6], 1)]);
    this.#make("Relu", [this.#value]);
    this.#make("MatMul", [this.#value, this.#weight([6, 5], 6)]);
    return modelOf(
      graphOf({
        nodes: this.#nodes,
        initializers: this.#weights,
        inputs: [value("x", [1, 4, 8, 8])],
        outputs: [{ name: this.#value }],
      }),
    );
  }

  #make(op: string, inputs: readonly string[], attributes: Parameters<typeof node>[3] = {}): void {
    this.#value = `v${this.#nodes.length}`;
    this.#nodes.push(node(op, inputs, [this.#value], attributes));
  }

  /** Scaled so that activations keep their size. */
  #weight(dims: readonly number[], fanIn: number): string {
    const name = `w${this.#weights.length}`;
    const scale = 1.5 / Math.sqrt(fanIn);
    this.#weights.push(
      floatTensor(
        name,
        dims,
        floats(dims, this.#weights.length + 1).map((v) => v * scale),
      ),
    );
    return name;
  }
}
