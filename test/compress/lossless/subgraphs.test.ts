import { describe, expect, test } from "vitest";
import { DataType } from "../../../src/onnx/data-type.ts";
import { graphAttribute } from "../../../src/onnx/edit.ts";
import type { Graph, Node } from "../../../src/onnx/model.ts";
import { tensorOf } from "../../../src/onnx/tensor.ts";
import { graphOf, node, value } from "../tiny.ts";
import { bool, chain, input } from "./chain.ts";
import { floatsTensor, int64Tensor, printed, randomTensor, simplifiedAndSame } from "./check.ts";

const graph = (value: Graph) => ({ type: "graph" as const, value });

describe("subgraphs, outputs within 1e-5", () => {
  const branch = (output: string, nodes: readonly Node[], initializers: Graph["initializers"] = []) =>
    graph(graphOf({ nodes, outputs: [value(output, ["N", 3, 4])], initializers }));

  test("an If with a constant condition becomes its branch; names that are taken are not taken twice", async () => {
    const nodes = [
      node("Sin", ["x"], ["a"]),
      node("If", ["yes"], ["b"], {
        then_branch: branch(
          "t2",
          [node("Mul", ["a", "k"], ["t"]), node("Sin", ["t"], ["t2"])],
          [randomTensor("k", [3, 4], 7)],
        ),
        else_branch: branch("t", [node("Identity", ["a"], ["t"])]),
      }),
      node("If", ["no"], ["y"], {
        then_branch: branch("t2", [node("Identity", ["x"], ["t2"])]),
        else_branch: branch(
          "t2",
          [node("Mul", ["b", "k"], ["t"]), node("Cos", ["t"], ["t2"])],
          [randomTensor("k", [3, 4], 8)],
        ),
      }),
    ];
    const conditions = [tensorOf("yes", bool(true)), tensorOf("no", bool(false))];
    const after = await simplifiedAndSame(chain(nodes, conditions), input);
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Sin", "Mul", "Sin", "Mul", "Cos"]);
  });

  test("an If that is decided at run time keeps both branches, each simplified within itself", async () => {
    const nodes = [
      node("Identity", ["x"], ["a"]),
      node("If", ["c"], ["y"], {
        then_branch: branch(
          "t",
          [node("Identity", ["a"], ["i"]), node("Mul", ["one", "i"], ["m"]), node("Sin", ["m"], ["t"])],
          [floatsTensor("one", [], [1])],
        ),
        else_branch: branch("t", [node("Identity", ["a"], ["t"])]),
      }),
    ];
    const model = chain(nodes);
    const withCondition = {
      ...model,
      graph: { ...model.graph, inputs: [...model.graph.inputs, value("c", [], DataType.BOOL)] },
    };
    const after = await simplifiedAndSame(
      withCondition,
      { ...input, c: bool(true) },
      { ...input, c: bool(false) },
    );
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["If"]);
    const [conditional] = after.graph.nodes;
    expect(printed(graphAttribute(conditional!, "then_branch")!.nodes)).toBe("Sin(x) → t");
    expect(printed(graphAttribute(conditional!, "else_branch")!.nodes)).toBe("Identity(x) → t");
  });

  test("a Loop's body is simplified and its carried values stay", async () => {
    const body = graphOf({
      inputs: [value("i", [], DataType.INT64), value("going", [], DataType.BOOL), value("v", ["N", 3, 4])],
      outputs: [value("going_out", [], DataType.BOOL), value("v_out", ["N", 3, 4])],
      nodes: [
        node("Identity", ["going"], ["going_out"]),
        node("Identity", ["v"], ["v1"]),
        node("Constant", [], ["h"], { value_float: { type: "float", value: 0.5 } }),
        node("Mul", ["v1", "h"], ["v2"]),
        node("Add", ["v2", "x"], ["v_out"]),
      ],
    });
    const model = chain(
      [node("Loop", ["times", "", "x"], ["y"], { body: graph(body) })],
      [int64Tensor("times", [3], [])],
    );
    const after = await simplifiedAndSame(model, input);
    const inner = graphAttribute(after.graph.nodes[0]!, "body")!;
    expect(printed(inner.nodes)).toBe("Identity(going) → going_out\nMul(v, h) → v2\nAdd(v2, x) → v_out");
  });
});
