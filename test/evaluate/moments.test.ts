import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type NewAttribute, nodeOf } from "../../src/onnx/edit.ts";
import type { Model } from "../../src/onnx/model.ts";
import { RuntimeLoadError, RuntimeRunError } from "../../src/runtime/errors.ts";
import { floats, floatTensor, graphOf, int, ints, modelOf, node, value } from "../compress/tiny.ts";
import { energy, expectedEnergy, fed, gap, momentsOf, outputsOf } from "./moments-check.ts";

type Attributes = Readonly<Record<string, NewAttribute>>;

/** y of one node on x and a weight of these dims, in that order or the other. */
function oneLayer(
  op: string,
  x: readonly number[],
  weight: readonly number[],
  attributes: Attributes = {},
  left = false,
): Model {
  return modelOf(
    graphOf({
      nodes: [node(op, left ? ["w", "x"] : ["x", "w"], ["y"], attributes)],
      initializers: [floatTensor("w", weight, floats(weight, 3))],
      inputs: [value("x", x)],
      outputs: [value("y", [])],
    }),
  );
}

const text = (one: string): NewAttribute => ({ type: "string", value: one });

function withoutShapes(model: Model): Model {
  const outputs = model.graph.outputs.map(({ name }) => ({
    name,
    type: { kind: "tensor", dataType: 1 } as const,
  }));
  return { ...model, graph: { ...model.graph, outputs } };
}

describe("tr(W·G·Wᵀ)·count is the energy of the output to 1e-4 for", () => {
  const axis = fc.record({
    size: fc.integer({ min: 3, max: 9 }),
    kernel: fc.integer({ min: 1, max: 3 }),
    stride: fc.integer({ min: 1, max: 3 }),
    dilation: fc.integer({ min: 1, max: 3 }),
    before: fc.integer({ min: 0, max: 3 }),
    after: fc.integer({ min: 0, max: 3 }),
  });
  const geometry = fc.record({
    axes: fc.array(axis, { minLength: 1, maxLength: 3 }),
    batch: fc.integer({ min: 1, max: 3 }),
    groups: fc.integer({ min: 1, max: 3 }),
    inputs: fc.integer({ min: 1, max: 3 }),
    outputs: fc.integer({ min: 1, max: 3 }),
    autoPad: fc.constantFrom("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
  });

  test("convolutions of any rank, groups, strides, dilations, pads and auto_pad", async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(geometry, async ({ axes, batch, groups, inputs, outputs, autoPad }) => {
        const x = [batch, groups * inputs, ...axes.map(({ size }) => size)];
        const weight = [groups * outputs, inputs, ...axes.map(({ kernel }) => kernel)];
        const pads = [...axes.map(({ before }) => before), ...axes.map(({ after }) => after)];
        const model = oneLayer("Conv", x, weight, {
          group: int(groups),
          strides: ints(...axes.map(({ stride }) => stride)),
          // onnxruntime-web refuses dilations beside SAME.
          dilations: ints(...axes.map(({ dilation }) => (autoPad.startsWith("SAME") ? 1 : dilation))),
          ...(autoPad === "NOTSET" ? { pads: ints(...pads) } : { auto_pad: text(autoPad) }),
        });
        const feeds = [{ x: fed(x, 5) }, { x: fed(x, 6) }];
        let distance: number;
        try {
          distance = await gap(withoutShapes(model), feeds);
        } catch (error) {
          // A window that does not fit.
          if (error instanceof RuntimeLoadError || error instanceof RuntimeRunError) return;
          throw error;
        }
        compared++;
        expect(distance).toBeLessThan(1e-4);
      }),
      { numRuns: 120, seed: 7 },
    );
    expect(compared).toBeGreaterThan(90);
  });

  test.each([
    ["without overlap", [2, 6, 5, 4], [6, 3, 2, 2], { strides: ints(2, 3), group: int(2) }],
    ["of points", [1, 4, 7], [4, 5, 1], {}],
  ] as const)("ConvTranspose %s", async (_, x, weight, attributes) => {
    const model = withoutShapes(oneLayer("ConvTranspose", x, weight, attributes));
    expect(await gap(model, [{ x: fed(x) }])).toBeLessThan(1e-4);
  });

  test.each([
    ["x·w", [5, 4], [4, 6], {}, false],
    ["xᵀ·w", [4, 5], [4, 6], { transA: int(1) }, false],
    ["x·wᵀ", [5, 4], [6, 4], { transB: int(1) }, false],
    ["xᵀ·wᵀ", [4, 5], [6, 4], { transA: int(1), transB: int(1) }, false],
    ["w·x", [4, 5], [6, 4], {}, true],
    ["wᵀ·x", [4, 5], [4, 6], { transA: int(1) }, true],
    ["w·xᵀ", [5, 4], [6, 4], { transB: int(1) }, true],
    ["wᵀ·xᵀ", [5, 4], [4, 6], { transA: int(1), transB: int(1) }, true],
  ] as const)("Gemm %s", async (_, x, weight, attributes, left) => {
    const model = withoutShapes(oneLayer("Gemm", x, weight, attributes, left));
    expect(await gap(model, [{ x: fed(x, 1) }, { x: fed(x, 2) }])).toBeLessThan(1e-4);
  });

  test.each([
    ["a matrix on the right of tokens", [2, 3, 5, 4], [4, 6], false],
    ["a matrix on the left", [2, 3, 4, 5], [6, 4], true],
    ["a vector x", [4], [4, 6], false],
    ["a vector x on the right", [4], [6, 4], true],
    ["a batch of matrices", [3, 5, 4], [3, 4, 6], false],
    ["a batch of matrices on the left", [3, 4, 5], [3, 6, 4], true],
    ["a batch of matrices and one x", [5, 4], [3, 4, 6], false],
    ["a batch broadcast both ways", [2, 1, 5, 4], [1, 3, 4, 6], false],
    ["a batch with an axis in common", [2, 3, 5, 4], [3, 4, 6], false],
    ["a batch of longer rank than x", [3, 5, 4], [2, 3, 4, 6], false],
    ["a batch of one", [3, 5, 4], [1, 4, 6], false],
  ] as const)("MatMul with %s", async (_, x, weight, left) => {
    const model = withoutShapes(oneLayer("MatMul", x, weight, {}, left));
    expect(await gap(model, [{ x: fed(x, 1) }, { x: fed(x, 2) }])).toBeLessThan(1e-4);
  });
});

test("moments of a transposed convolution that overlaps are those of the channels at each position, to 1e-6", async () => {
  const x = fed([2, 4, 3, 3]);
  const model = withoutShapes(
    oneLayer("ConvTranspose", x.dims, [4, 2, 3, 3], { group: int(2), pads: ints(1, 1, 1, 1) }),
  );
  const { matrices } = (await momentsOf(model, [{ x }])).get("y")!;
  const at = (image: number, channel: number, position: number) =>
    (x.data as Float32Array)[(image * 4 + channel) * 9 + position]!;
  for (const [group, moments] of matrices!.entries()) {
    expect(moments).toMatchObject({ n: 2, count: 18 });
    for (const [i, j] of [0, 1, 2, 3].map((k) => [k >> 1, k & 1] as const)) {
      let sum = 0;
      for (let p = 0; p < 18; p++) {
        sum += at(Math.floor(p / 9), 2 * group + i, p % 9) * at(Math.floor(p / 9), 2 * group + j, p % 9);
      }
      expect(moments!.gram![i * 2 + j]).toBeCloseTo(sum / 18, 6);
      if (i === j) expect(moments!.diagonal[i]).toBeCloseTo(sum / 18, 6);
    }
  }
});

describe("of recurrent layers", () => {
  const [steps, batch, inputs, hidden] = [5, 2, 3, 4];
  const gates = { LSTM: 4, GRU: 3, RNN: 1 };
  const directions = { forward: [false], reverse: [true], bidirectional: [false, true] };

  function recurrent(op: keyof typeof gates, direction: keyof typeof directions, withInitial: boolean) {
    const d = directions[direction].length;
    const w = [d, gates[op] * hidden, inputs];
    const r = [d, gates[op] * hidden, hidden];
    const inputNames = withInitial ? ["x", "w", "r", "", "", "h0"] : ["x", "w", "r"];
    const attributes = { hidden_size: int(hidden), direction: text(direction) };
    const build = (outputs: string[]) =>
      modelOf(
        graphOf({
          nodes: [{ ...nodeOf(op, inputNames, outputs, attributes), name: "rnn" }],
          initializers: [floatTensor("w", w, floats(w, 3)), floatTensor("r", r, floats(r, 4))],
          inputs: [
            value("x", [steps, batch, inputs]),
            ...(withInitial ? [value("h0", [d, batch, hidden])] : []),
          ],
          outputs: [{ name: outputs[0] || outputs[1]!, type: { kind: "tensor", dataType: 1 } }],
        }),
      );
    const feed = {
      x: fed([steps, batch, inputs], 8),
      ...(withInitial ? { h0: fed([d, batch, hidden], 9) } : {}),
    };
    // As the model is, its states are left out; `states` gives them.
    return { model: build(["", "last"]), states: build(["y", ""]), feed, d };
  }

  const cases = (["LSTM", "GRU", "RNN"] as const).flatMap((op) =>
    (["forward", "reverse", "bidirectional"] as const).map((direction) => [op, direction] as const),
  );

  test.each(cases)(
    "%s %s: W sees the inputs, R the states before each step, to 1e-6",
    async (op, direction) => {
      for (const withInitial of [false, true]) {
        const { model, states, feed, d } = recurrent(op, direction, withInitial);
        const found = await momentsOf(model, [feed]);
        const y = (await outputsOf(states, [feed]))[0]!.y!.data as Float32Array;
        const x = feed.x.data as Float32Array;
        for (let k = 0; k < d; k++) {
          const w = found.get("rnn.W")!.matrices![k]!;
          expect(w.count).toBe(steps * batch);
          for (let i = 0; i < inputs; i++) {
            const column = x.filter((_, at) => at % inputs === i);
            expect(w.diagonal[i]).toBeCloseTo(column.reduce((sum, v) => sum + v * v, 0) / column.length, 6);
            expect(w.mean[i]).toBeCloseTo(column.reduce((sum, v) => sum + v, 0) / column.length, 6);
          }
          const stateBefore = (step: number, entry: number, i: number): number => {
            const previous = directions[direction][k] ? step + 1 : step - 1;
            if (previous >= 0 && previous < steps)
              return y[((previous * d + k) * batch + entry) * hidden + i]!;
            return withInitial ? (feed.h0!.data as Float32Array)[(k * batch + entry) * hidden + i]! : 0;
          };
          const r = found.get("rnn.R")!.matrices![k]!;
          expect(r.count).toBe(steps * batch);
          for (let i = 0; i < hidden; i++) {
            for (let j = 0; j < hidden; j++) {
              let sum = 0;
              for (let t = 0; t < steps; t++) {
                for (let b = 0; b < batch; b++) sum += stateBefore(t, b, i) * stateBefore(t, b, j);
              }
              expect(r.gram![i * hidden + j]).toBeCloseTo(sum / (steps * batch), 6);
            }
          }
        }
      }
    },
  );

  test("a linear RNN with no input: tr(R·G·Rᵀ)·count is the energy of its states to 1e-4", async () => {
    const model = modelOf(
      graphOf({
        nodes: [
          node("RNN", ["x", "w", "r", "", "", "h0"], ["y"], {
            hidden_size: int(hidden),
            activations: { type: "strings", value: ["Affine"] },
            activation_alpha: { type: "floats", value: [1] },
            activation_beta: { type: "floats", value: [0] },
          }),
        ],
        initializers: [
          floatTensor("r", [1, hidden, hidden], floats([1, hidden, hidden], 4)),
          floatTensor("w", [1, hidden, inputs], new Float32Array(hidden * inputs)),
        ],
        inputs: [value("x", [steps, batch, inputs]), value("h0", [1, batch, hidden])],
        outputs: [value("y", [steps, 1, batch, hidden])],
      }),
    );
    const feed = { x: fed([steps, batch, inputs]), h0: fed([1, batch, hidden]) };
    const moments = (await momentsOf(model, [feed])).get("y.R")!;
    const given = energy((await outputsOf(model, [feed]))[0]!.y!.data as Float32Array);
    expect(Math.abs((await expectedEnergy(model, moments)) / given - 1)).toBeLessThan(1e-4);
  });
});
