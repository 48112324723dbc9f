import fc from "fast-check";
import { expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Model, Node, Tensor } from "../../src/onnx/model.ts";
import { deadUnitsGo } from "./channel-pruning-check.ts";
import { floats, floatTensor, graphOf, int, ints, modelOf, node, value } from "./tiny.ts";

/** What a random network does next to its map. */
const step = fc.record({
  kind: fc.constantFrom(
    "conv",
    "skip",
    "concat",
    "depthwise",
    "grouped",
    "gate",
    "norm",
    "pool",
    "activation",
  ),
  channels: fc.integer({ min: 1, max: 5 }),
  kernel: fc.constantFrom(1, 3),
});

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const SIZE = 6;

/** A small convolutional network of these steps, with one output vector; without zeros at its borders where `plain`. */
function network(steps: readonly Step[], plain: boolean): Model {
  const nodes: Node[] = [];
  const tensors: Tensor[] = [];
  let seed = 0;
  const weight = (...dims: number[]) => {
    const name = `t${seed++}`;
    const scale = 1 / Math.sqrt(dims.slice(1).reduce((a, b) => a * b, 1));
    tensors.push(
      floatTensor(
        name,
        dims,
        floats(dims, seed).map((one) => one * scale * 1.7),
      ),
    );
    return name;
  };
  const next = (op: string, inputs: string[], attributes: Parameters<typeof node>[3] = {}) => {
    const name = `v${nodes.length}`;
    nodes.push(node(op, inputs, [name], attributes));
    return name;
  };
  const conv = (x: string, into: number, out: number, given: number, group = 1) => {
    const kernel = plain ? 1 : given;
    return next("Conv", [x, weight(out, into / group, kernel, kernel), weight(out)], {
      kernel_shape: ints(kernel, kernel),
      pads: ints(...new Array<number>(4).fill((kernel - 1) / 2)),
      group: int(group),
    });
  };
  let [map, width] = [conv("x", 2, 4, 3), 4];
  for (const { kind, channels, kernel } of steps) {
    if (kind === "conv") {
      map = next("Relu", [conv(map, width, 2 * channels, kernel)]);
      width = 2 * channels;
    } else if (kind === "skip") {
      map = next("Add", [map, next("Relu", [conv(map, width, width, kernel)])]);
    } else if (kind === "concat") {
      map = next("Concat", [map, conv(map, width, channels, kernel)], { axis: int(1) });
      width += channels;
    } else if (kind === "depthwise") map = conv(map, width, width, kernel, width);
    else if (kind === "grouped") {
      const group = width % 2 === 0 ? 2 : 1;
      map = conv(map, width, group * channels, kernel, group);
      width = group * channels;
    } else if (kind === "gate") {
      const pooled = next("GlobalAveragePool", [map]);
      const gate = conv(next("Relu", [conv(pooled, width, channels, 1)]), channels, width, 1);
      map = next("Mul", [map, next("Tanh", [gate])]);
    } else if (kind === "norm") {
      const variance = weight(width);
      tensors.push(
        floatTensor(
          `${variance}p`,
          [width],
          floats([width], seed).map((one) => one + 1.5),
        ),
      );
      map = next("BatchNormalization", [map, weight(width), weight(width), weight(width), `${variance}p`]);
    } else if (kind === "pool" && !plain) {
      map = next("AveragePool", [map], { kernel_shape: ints(3, 3), pads: ints(1, 1, 1, 1) });
    } else map = next("LeakyRelu", [map]);
  }
  const flat = next("Flatten", [map]);
  nodes.push(node("Gemm", [flat, weight(width * SIZE * SIZE, 3)], ["y"]));
  return modelOf(
    graphOf({
      nodes,
      initializers: tensors,
      inputs: [value("x", ["N", 2, SIZE, SIZE])],
      outputs: [value("y", ["N", 3])],
    }),
  );
}

test.each([{ dead: "zero" }, { dead: "constant" }] as const)(
  "random networks with skips, concatenations, gates and groups: $dead channels go, equal within 1e-5",
  async ({ dead: kind }) => {
    let removed = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const dims = [2, 2, SIZE, SIZE];
        const feeds = [1, 2].map((seed) => ({
          x: { dataType: DataType.FLOAT, dims, data: floats(dims, seed) },
        }));
        const { groups } = await deadUnitsGo(network(steps, kind === "constant"), feeds, kind);
        removed += groups.length;
      }),
      { numRuns: 25, seed: 7 },
    );
    expect(removed).toBeGreaterThan(40);
  },
);
