import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutGraph } from "../../../src/evaluate/segments/cut.ts";
import { atMost } from "../../../src/evaluate/segments/execution.ts";
import { Extent } from "../../../src/evaluate/segments/extent.ts";
import { SegmentPlan } from "../../../src/evaluate/segments/segment-plan.ts";
import { workGraph } from "../../../src/evaluate/segments/work-graph.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import { nodeOf } from "../../../src/onnx/edit.ts";
import type { Model, Node, Tensor } from "../../../src/onnx/model.ts";
import { inferShapes } from "../../../src/onnx/shapes/infer.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import { floats, floatTensor, graphOf, modelOf, value } from "../../compress/tiny.ts";
import { fed } from "../moments-check.ts";
import { answersOf, bitsOf } from "./answers.ts";

const WIDTH = 8;

/** What one random node does with values before it, by their places. */
interface Step {
  readonly kind: "MatMul" | "Add" | "Relu" | "Constant" | "If" | "Shape";
  readonly from: number;
  readonly other: number;
  readonly weight: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom("MatMul", "MatMul", "Add", "Relu", "Constant", "If", "Shape"),
  from: fc.nat(),
  other: fc.nat(),
  weight: fc.nat(3),
});

/** A graph of [2, 8] values: shared weights, weights of two parts, branches that read outer values, sizes. */
function randomModel(steps: readonly Step[]): Model {
  const nodes: Node[] = [nodeOf("Mul", ["part", "part"], ["made"])];
  const values = ["x"];
  const initializers: Tensor[] = [floatTensor("part", [WIDTH, WIDTH], floats([WIDTH, WIDTH], 9))];
  for (let i = 0; i < 4; i++) {
    initializers.push(floatTensor(`w${i}`, [WIDTH, WIDTH], floats([WIDTH, WIDTH], i + 1)));
  }
  for (const [i, { kind, from, other, weight }] of steps.entries()) {
    const [a, b] = [values[from % values.length]!, values[other % values.length]!];
    const out = `v${i}`;
    values.push(out);
    if (kind === "MatMul") nodes.push(nodeOf("MatMul", [a, weight === 3 ? "made" : `w${weight}`], [out]));
    else if (kind === "Add") nodes.push(nodeOf("Add", [a, b], [out]));
    else if (kind === "Relu") nodes.push(nodeOf("Relu", [a], [out]));
    else if (kind === "Constant") {
      const held = floatTensor("", [1, WIDTH], floats([1, WIDTH], i + 20));
      nodes.push(nodeOf("Constant", [], [`c${i}`], { value: { type: "tensor", value: held } }));
      nodes.push(nodeOf("Add", [a, `c${i}`], [out]));
    } else if (kind === "Shape") {
      nodes.push(nodeOf("Shape", [a], [`s${i}`]), nodeOf("Reshape", [b, `s${i}`], [out]));
    } else {
      const branch = (inner: Node) =>
        graphOf({ nodes: [inner], outputs: [value(inner.outputs[0]!, [2, WIDTH])] });
      nodes.push(
        nodeOf("ReduceMax", [a], [`m${i}`], { keepdims: { type: "int", value: 0 } }),
        nodeOf("Cast", [`m${i}`], [`b${i}`], { to: { type: "int", value: DataType.BOOL } }),
        nodeOf("If", [`b${i}`], [out], {
          then_branch: { type: "graph", value: branch(nodeOf("MatMul", [b, `w${weight % 3}`], [`t${i}`])) },
          else_branch: { type: "graph", value: branch(nodeOf("Relu", [b], [`e${i}`])) },
        }),
      );
    }
  }
  const outputs = [values.at(-1)!, values[Math.floor(values.length / 2)]!];
  return modelOf(
    graphOf({
      nodes: [...nodes, nodeOf("Identity", [outputs[1]!], ["second"])],
      initializers,
      inputs: [value("x", [2, WIDTH])],
      outputs: [value(outputs[0]!, [2, WIDTH]), value("second", [2, WIDTH])],
    }),
  );
}

const models = fc.array(step, { minLength: 1, maxLength: 24 }).map(randomModel);
const budgets = fc.integer({ min: 300, max: 6000 });
const outputsOf = (model: Model) => model.graph.outputs.map(({ name }) => name);

describe("cutting a graph", () => {
  test("puts every node that computes something into one segment, in order, within the budget or alone", async () => {
    await fc.assert(
      fc.asyncProperty(models, budgets, async (model, budget) => {
        const graph = workGraph(model, await inferShapes(model));
        const outputs = new Set(outputsOf(model));
        const ranges = cutGraph(graph, outputs, budget);
        expect(ranges[0]!.from).toBe(0);
        expect(ranges.at(-1)!.to).toBe(graph.nodes.length);
        for (const [i, { from, to }] of ranges.entries()) {
          expect(to).toBeGreaterThan(from);
          if (i > 0) expect(from).toBe(ranges[i - 1]!.to);
          const extent = new Extent(graph, from, outputs);
          for (let place = from; place < to; place++) extent.grow();
          if (to - from > 1) expect(extent.bytes).toBeLessThanOrEqual(budget);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("makes models whose inputs were given before, and which hold every name that they read", async () => {
    await fc.assert(
      fc.asyncProperty(models, budgets, async (model, memory) => {
        const runtime = await nodeRuntime();
        const plan = await SegmentPlan.of(model, [{ x: fed([2, WIDTH]) }], {
          runtime,
          memory: atMost(memory),
          scratch: null,
        });
        const segments = (await plan?.segments(outputsOf(model))) ?? [];
        const given = new Set(["x"]);
        for (const { inputs, outputs, model: part } of segments) {
          for (const name of inputs) expect(given).toContain(name);
          const known = new Set([
            ...inputs,
            ...part.graph.initializers.map(({ name }) => name),
            ...part.graph.nodes.flatMap(({ outputs: made }) => made),
          ]);
          for (const name of [...part.graph.nodes.flatMap((node) => node.inputs), ...outputs]) {
            expect(known).toContain(name);
          }
          for (const name of outputs) given.add(name);
        }
        if (plan) expect([...given]).toEqual(expect.arrayContaining(outputsOf(model)));
      }),
      { numRuns: 200 },
    );
  });

  test("changes no bit of what random graphs answer where no pair that may be fused is parted, else 1e-5", async () => {
    await fc.assert(
      fc.asyncProperty(models, budgets, async (model, memory) => {
        const feeds = [1, 2].map((seed) => ({ x: fed([2, WIDTH], seed) }));
        const whole = await answersOf(model, feeds, Number.POSITIVE_INFINITY);
        const parts = await answersOf(model, feeds, memory);
        for (const [i, answer] of whole.answers.entries()) {
          for (const [name, { data }] of Object.entries(answer)) {
            const found = parts.answers[i]![name]!.data as Float32Array;
            const scale = Math.max(...(data as Float32Array).map(Math.abs), 1e-30);
            for (const [j, one] of (data as Float32Array).entries()) {
              expect(Math.abs(one - found[j]!) / scale).toBeLessThan(1e-5);
            }
          }
        }
        if (parts.parted === 0) expect(bitsOf(parts.answers)).toEqual(bitsOf(whole.answers));
      }),
      { numRuns: 60 },
    );
  });
});
