import { describe, expect, test } from "vitest";
import { findChannelGroups } from "../../src/compress/channel-pruning/groups.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Node, Tensor } from "../../src/onnx/model.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { tensorOf } from "../../src/onnx/tensor.ts";
import { conv, list, tiny } from "./channel-pruning-tiny.ts";
import { graphOf, int, ints, node, value } from "./tiny.ts";

describe("what cannot be followed is left alone, with the operator that is why", () => {
  const left = async (
    nodes: readonly Node[],
    shapes: Record<string, readonly number[]>,
    more: readonly Tensor[] = [],
  ) => {
    const { model } = tiny({
      input: [1, 3, 6, 6],
      output: [],
      nodes: [conv("x", "w1", "a"), ...nodes, conv("z", "w2", "y")],
      weights: { w1: [6, 3, 1, 1], w2: [2, 6, 1, 1], ...shapes },
      more,
    });
    const { groups, left } = findChannelGroups(model, await inferShapes(model));
    expect(groups).toEqual([]);
    return left.find(({ layer }) => layer === "a")!.reason;
  };

  test("operators that mix channels, unknown operators, outputs", async () => {
    expect(await left([node("Softmax", ["a"], ["z"], { axis: int(1) })], {})).toBe(
      'Softmax "z" normalises over the channels',
    );
    expect(
      await left([node("ReduceMean", ["a"], ["m"], { axes: ints(1) }), node("Sub", ["a", "m"], ["z"])], {}),
    ).toBe('ReduceMean "m" computes over all channels');
    expect(await left([node("CumSum", ["a", "one"], ["z"])], {}, [list("one", 1)])).toBe(
      'CumSum "z" is not followed',
    );
    expect(await left([{ ...node("Relu", ["a"], ["z"]), domain: "com.example" }], {})).toBe(
      'Relu "z" is not followed',
    );
    expect(await left([node("Relu", ["a"], ["z"]), node("Add", ["z", "x"], ["bad"])], {})).toBe(
      'Add "bad" meets something that cannot be followed',
    );
    expect(await left([node("Size", ["a"], ["n"]), node("Relu", ["a"], ["z"])], {})).toBe(
      'Size "n" is not followed',
    );
    const counted = [
      node("Shape", ["a"], ["n"]),
      node("Cast", ["n"], ["c"], { to: int(1) }),
      node("ReduceMax", ["c"], ["most"], { keepdims: int(0) }),
      node("Div", ["a", "most"], ["z"]),
    ];
    expect(await left(counted, {})).toBe('Shape "n" gives their number to computations');
  });

  test("channels that a branch reads, layers in branches, weights that callers may replace", async () => {
    const branch = graphOf({
      nodes: [node("Relu", ["a"], ["inner"]), conv("inner", "w2", "one")],
      outputs: [value("one", [])],
    });
    const other = graphOf({ nodes: [node("Identity", ["x"], ["two"])], outputs: [value("two", [])] });
    const { model } = tiny({
      input: [1, 3, 6, 6],
      output: [],
      nodes: [
        conv("x", "w1", "a"),
        node("If", ["yes"], ["y"], {
          then_branch: { type: "graph", value: branch },
          else_branch: { type: "graph", value: other },
        }),
      ],
      weights: { w1: [6, 3, 1, 1], w2: [3, 6, 1, 1] },
      more: [tensorOf("yes", { dataType: DataType.BOOL, dims: [], data: Uint8Array.of(1) })],
    });
    expect(findChannelGroups(model, await inferShapes(model))).toEqual({
      groups: [],
      left: [
        { layer: "a", reason: 'If "y" is not followed' },
        { layer: "one", reason: "it is in a body of If, Loop or Scan, which is not followed" },
      ],
    });
    const plain = tiny({
      input: [1, 3, 6, 6],
      output: [],
      nodes: [conv("x", "w1", "a"), conv("a", "w2", "y")],
      weights: { w1: [6, 3, 1, 1], w2: [2, 6, 1, 1] },
    }).model;
    const open = {
      ...plain,
      graph: { ...plain.graph, inputs: [...plain.graph.inputs, value("w2", [2, 6, 1, 1])] },
    };
    expect(findChannelGroups(open, await inferShapes(open)).left[0]).toEqual({
      layer: "a",
      reason: 'callers may replace "w2"',
    });
  });
});
