import { expect, test } from "vitest";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { Graph, Model, Node } from "../../../src/onnx/model.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";
import { withoutIfs } from "../../../src/partition/execution/branches.ts";
import { verifyPlan } from "../../../src/partition/execution/verify.ts";
import { planModel } from "../../../src/partition/plan-model.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { floats, floatTensor, graphOf, modelOf, node, value } from "../../compress/tiny.ts";
import { MIXES } from "./mixes.ts";

const bool = (one: boolean): TensorValue => ({
  dataType: DataType.BOOL,
  dims: [],
  data: Uint8Array.of(one ? 1 : 0),
});

function branch(name: string, nodes: readonly Node[], output: string): Graph {
  return graphOf({
    nodes,
    initializers: [floatTensor(`${name}_w`, [16, 16], floats([16, 16], name.length))],
    outputs: [value(output, [1, 16])],
  });
}

/** The other branch has two layers, so that it is the costlier one. */
function forked(taken: Graph): Model {
  const other = branch(
    "other",
    [
      node("MatMul", ["a", "other_w"], ["o1"]),
      node("Relu", ["o1"], ["o2"]),
      node("MatMul", ["o2", "other_w"], ["o3"]),
    ],
    "o3",
  );
  return modelOf(
    graphOf({
      nodes: [
        node("Relu", ["x"], ["a"]),
        node("If", ["c"], ["y"], {
          then_branch: { type: "graph", value: taken },
          else_branch: { type: "graph", value: other },
        }),
      ],
      inputs: [value("x", [1, 16]), value("c", [], DataType.BOOL)],
      outputs: [value("y", [1, 16])],
    }),
  );
}

const feeds: Feeds[] = [
  { x: { dataType: DataType.FLOAT, dims: [1, 16], data: floats([1, 16], 5) }, c: bool(true) },
];
const small = branch("then", [node("MatMul", ["a", "then_w"], ["t1"])], "t1");
const mix = MIXES["two unlike devices"]!;

test("a plan of a branch that the inputs do not take says nothing", async () => {
  const model = forked(small);
  const runtime = await nodeRuntime();
  const plan = await planModel(model, mix);
  const found = await verifyPlan({ model, plan, runtime, samples: feeds, limit: 1e9 });
  expect(found).toMatchObject({ status: "inconclusive", not_run: ["o1", "o1 (o3)"] });
  expect(found.reason).toMatch(/none of the branches/);
});

test("a plan for the inputs is of the branch that they take", async () => {
  const model = forked(small);
  const runtime = await nodeRuntime();
  const { taken } = await withoutIfs(model, runtime, feeds);
  const plan = await planModel(model, mix, {}, taken);
  expect(plan.layers.map(({ name }) => name)).toEqual(["t1"]);
  const found = await verifyPlan({ model, plan, runtime, samples: feeds, limit: 1e9 });
  expect(found).toMatchObject({ status: "passed", not_run: [], devices: 2 });
});

test("a branch that is built like the one in the plan is divided like it", async () => {
  const twin = branch(
    "then",
    [
      node("MatMul", ["a", "then_w"], ["t1"]),
      node("Relu", ["t1"], ["t2"]),
      node("MatMul", ["t2", "then_w"], ["t3"]),
    ],
    "t3",
  );
  const model = forked(twin);
  const runtime = await nodeRuntime();
  const plan = await planModel(model, mix);
  expect(plan.layers.map(({ name }) => name)).toEqual(["t1", "t1 (t3)"]);
  const samples = [{ ...feeds[0]!, c: bool(false) }];
  const found = await verifyPlan({ model, plan, runtime, samples, limit: 1e9 });
  expect(found).toMatchObject({ status: "passed", not_run: [], undivided: [] });
  expect(found.boundaries).toBeGreaterThan(1);
});

test("inputs that take another branch than the first are left out", async () => {
  const model = forked(small);
  const runtime = await nodeRuntime();
  const mixed = [feeds[0]!, { ...feeds[0]!, c: bool(false) }, feeds[0]!];
  const without = await withoutIfs(model, runtime, mixed);
  expect(without.feeds).toHaveLength(2);
  expect(without.model.graph.nodes.map(({ opType }) => opType)).toEqual(["Relu", "MatMul"]);
});
