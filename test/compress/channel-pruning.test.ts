import { describe, expect, test } from "vitest";
import { DataType } from "../../src/onnx/data-type.ts";
import { deadUnitsGo } from "./channel-pruning-check.ts";
import { conv, list, text, tiny } from "./channel-pruning-tiny.ts";
import { floatTensor, int, ints, node, value } from "./tiny.ts";

describe("dead channels go, outputs within 1e-5 of the original's", () => {
  test("two convolutions with BatchNormalization, activations and pooling between: one group", async () => {
    const { model, feeds } = tiny({
      input: [2, 3, 9, 9],
      output: [2, 4, 1, 1],
      nodes: [
        conv("x", "w1", "a", {}, "b1"),
        node("BatchNormalization", ["a", "scale", "shift", "mean", "var"], ["n"]),
        node("LeakyRelu", ["n"], ["r"]),
        node("Clip", ["r", "low", "high"], ["c"]),
        node("MaxPool", ["c"], ["p"], { kernel_shape: ints(2, 2), strides: ints(2, 2) }),
        conv("p", "w2", "d"),
        node("GlobalAveragePool", ["d"], ["y"]),
      ],
      weights: { w1: [6, 3, 2, 2], b1: [6], scale: [6], shift: [6], mean: [6], var: [6], w2: [4, 6, 3, 3] },
      more: [floatTensor("low", [], Float32Array.of(-0.5)), floatTensor("high", [], Float32Array.of(6))],
    });
    const { groups, pruned } = await deadUnitsGo(model, feeds);
    expect(groups.map(({ id, units, cuts }) => [id, units, cuts.length])).toEqual([["a", 6, 7]]);
    expect(
      pruned.graph.nodes.find(({ opType, name }) => opType === "Conv" && name === "d")!.inputs,
    ).toHaveLength(3);
  });

  test("skips: Add ties two producers, Sub and Mul by a vector go along", async () => {
    const { model, feeds } = tiny({
      input: [1, 3, 7, 7],
      output: [1, 2, 5, 5],
      nodes: [
        conv("x", "w1", "a", {}, "b1"),
        node("Relu", ["a"], ["r"]),
        conv("r", "w2", "b", { pads: ints(0, 0, 0, 0) }, "b2"),
        node("Add", ["r", "b"], ["s"]),
        node("Sub", ["s", "shift"], ["t"]),
        node("Mul", ["scale", "t"], ["u"]),
        conv("u", "w3", "y", {}, "b3"),
      ],
      weights: {
        w1: [6, 3, 3, 3],
        b1: [6],
        w2: [6, 6, 1, 1],
        b2: [6],
        shift: [6, 1, 1],
        scale: [1, 6, 1, 1],
        w3: [2, 6, 1, 1],
        b3: [2],
      },
    });
    const { groups } = await deadUnitsGo(model, feeds);
    expect(groups).toHaveLength(1);
    expect(groups[0]!.producers.map(({ layer }) => layer)).toEqual(["a", "b"]);
  });

  test("Concat, Split and Slice of channels: sizes and places follow", async () => {
    const { model, feeds } = tiny({
      input: [1, 3, 5, 5],
      output: [1, 2, 5, 5],
      nodes: [
        conv("x", "w1", "a", {}, "b1"),
        conv("x", "w2", "b", {}, "b2"),
        node("Concat", ["a", "b"], ["c"], { axis: int(1) }),
        node("Sigmoid", ["c"], ["s"]),
        node("Split", ["s", "sizes"], ["left", "right"], { axis: int(1) }),
        node("Slice", ["s", "from", "to", "axes"], ["middle"]),
        conv("left", "w3", "l"),
        conv("right", "w4", "r"),
        conv("middle", "w5", "m"),
        node("Sum", ["l", "r", "m"], ["y"]),
      ],
      weights: {
        w1: [6, 3, 1, 1],
        b1: [6],
        w2: [4, 3, 1, 1],
        b2: [4],
        w3: [2, 7, 1, 1],
        w4: [2, 3, 1, 1],
        w5: [2, 6, 1, 1],
      },
      more: [list("sizes", 7, 3), list("from", 2), list("to", -2), list("axes", 1)],
    });
    const { groups } = await deadUnitsGo(model, feeds);
    expect(groups.map(({ units }) => units)).toEqual([6, 4]);
  });

  test("Split into equal halves that are multiplied (gated units): a unit is a pair, and sizes stay equal", async () => {
    const { model, feeds } = tiny({
      input: [2, 5],
      output: [2, 3],
      nodes: [
        node("Gemm", ["x", "w1", "b1"], ["a"]),
        node("Split", ["a"], ["left", "gate"], { axis: int(1) }),
        node("Sigmoid", ["gate"], ["g"]),
        node("Mul", ["left", "g"], ["m"]),
        node("Gemm", ["m", "w2"], ["y"], { transB: int(1), alpha: { type: "float", value: 0.5 } }),
      ],
      weights: { w1: [5, 12], b1: [12], w2: [3, 6] },
    });
    const { groups } = await deadUnitsGo(model, feeds);
    expect(groups.map(({ units }) => units)).toEqual([6]);
  });

  test("depthwise, with a multiplier, between pointwise convolutions: group falls", async () => {
    const { model, feeds } = tiny({
      input: [1, 3, 6, 6],
      output: [1, 2, 4, 4],
      nodes: [
        conv("x", "w1", "a", {}, "b1"),
        conv("a", "w2", "b", { group: int(6) }, "b2"),
        node("HardSigmoid", ["b"], ["h"]),
        conv("h", "w3", "y"),
      ],
      weights: { w1: [6, 3, 1, 1], b1: [6], w2: [12, 1, 3, 3], b2: [12], w3: [2, 12, 1, 1] },
    });
    const { groups, pruned } = await deadUnitsGo(model, feeds);
    expect(groups.map(({ units }) => units)).toEqual([6]);
    expect(pruned.graph.nodes[1]!.attributes[0]!.value).toEqual({ type: "int", value: 4 });
  });

  test("grouped convolution: the same positions go from every group", async () => {
    const { model, feeds } = tiny({
      input: [1, 3, 6, 6],
      output: [1, 2, 4, 4],
      nodes: [
        conv("x", "w1", "a", {}, "b1"),
        conv("a", "w2", "b", { group: int(2) }, "b2"),
        node("Tanh", ["b"], ["h"]),
        conv("h", "w3", "y"),
      ],
      weights: { w1: [8, 3, 1, 1], b1: [8], w2: [6, 4, 3, 3], b2: [6], w3: [2, 6, 1, 1] },
    });
    const { groups } = await deadUnitsGo(model, feeds);
    expect(groups.map(({ units }) => units)).toEqual([4, 3]);
  });

  test("ConvTranspose: dense, grouped and depthwise", async () => {
    const { model, feeds } = tiny({
      input: [1, 3, 4, 4],
      output: [1, 2, 7, 7],
      nodes: [
        conv("x", "w1", "a", {}, "b1"),
        node("ConvTranspose", ["a", "w2", "b2"], ["b"], { kernel_shape: ints(2, 2) }),
        node("ConvTranspose", ["b", "w3", "b3"], ["c"], { group: int(2), kernel_shape: ints(2, 2) }),
        node("ConvTranspose", ["c", "w4"], ["d"], { group: int(6), kernel_shape: ints(2, 2) }),
        conv("d", "w5", "y"),
      ],
      weights: {
        w1: [6, 3, 1, 1],
        b1: [6],
        w2: [6, 8, 2, 2],
        b2: [8],
        w3: [8, 3, 2, 2],
        b3: [6],
        w4: [6, 1, 2, 2],
        w5: [2, 6, 1, 1],
      },
    });
    // A constant is not one at the borders of a transposed convolution: only what is zero is exact.
    const { groups } = await deadUnitsGo(model, feeds, "zero");
    expect(groups.map(({ units }) => units)).toEqual([6, 4, 3]);
  });

  test("Flatten, Reshape and Transpose: a channel is a block of features", async () => {
    const { model, feeds } = tiny({
      input: [2, 3, 4, 4],
      output: [2, 3],
      nodes: [
        conv("x", "w1", "a", {}, "b1"),
        node("Transpose", ["a"], ["t"], { perm: ints(0, 2, 3, 1) }),
        node("Reshape", ["t", "target"], ["f"]),
        node("Flatten", ["a"], ["g"]),
        node("MatMul", ["f", "w2"], ["p"]),
        node("Gemm", ["g", "w3", "b3"], ["q"]),
        node("Add", ["p", "q"], ["y"]),
      ],
      weights: { w1: [6, 3, 1, 1], b1: [6], w2: [96, 3], w3: [96, 3], b3: [3] },
      more: [list("target", -1, 96)],
    });
    const { groups, pruned } = await deadUnitsGo(model, feeds);
    expect(groups.map(({ units, consumers }) => [units, consumers.length])).toEqual([[6, 2]]);
    expect(pruned.graph.initializers.find(({ name }) => name === "w2")!.dims).toEqual([64, 3]);
  });

  test("squeeze and excitation, Pad and Resize of the map, PixelShuffle", async () => {
    const { model, feeds } = tiny({
      input: [1, 3, 4, 4],
      output: [1, 3, 12, 12],
      nodes: [
        conv("x", "w1", "a", {}, "b1"),
        node("GlobalAveragePool", ["a"], ["g"]),
        conv("g", "w2", "s", {}, "b2"),
        node("Relu", ["s"], ["r"]),
        conv("r", "w3", "e", {}, "b3"),
        node("Sigmoid", ["e"], ["q"]),
        node("Mul", ["a", "q"], ["m"]),
        node("Pad", ["m", "pads"], ["p"], { mode: text("edge") }),
        node("Resize", ["p", "", "", "sizes"], ["z"], { mode: text("nearest") }),
        conv("z", "w4", "u", {}, "b4"),
        node("DepthToSpace", ["u"], ["d"], { blocksize: int(2) }),
        conv("d", "w5", "y"),
      ],
      weights: {
        w1: [6, 3, 1, 1],
        b1: [6],
        w2: [3, 6, 1, 1],
        b2: [3],
        w3: [6, 3, 1, 1],
        b3: [6],
        w4: [16, 6, 1, 1],
        b4: [16],
        w5: [3, 4, 1, 1],
      },
      more: [list("pads", 0, 0, 1, 1, 0, 0, 1, 1), list("sizes", 1, 6, 6, 6)],
    });
    // The four channels that become one have constants of their own: only zero is the same everywhere.
    const { groups } = await deadUnitsGo(model, feeds, "zero");
    expect(groups.map(({ units }) => units)).toEqual([6, 3, 4]);
  });

  test.each(["LSTM", "GRU", "RNN"] as const)(
    "%s: hidden units go from all gates and both directions",
    async (op) => {
      const gates = { LSTM: 4, GRU: 3, RNN: 1 }[op];
      const { model, feeds } = tiny({
        input: [5, 2, 4],
        output: [2, 3],
        nodes: [
          node(op, ["x", "w1", "r1", "b1"], ["a"], { hidden_size: int(6), direction: text("bidirectional") }),
          node("Transpose", ["a"], ["t"], { perm: ints(0, 2, 1, 3) }),
          node("Reshape", ["t", "target"], ["f"]),
          node(op, ["f", "w2", "r2", "", "", "h2"], ["", "last"], { hidden_size: int(9) }),
          node("Squeeze", ["last", "first"], ["s"]),
          node("Gemm", ["s", "w3"], ["y"]),
        ],
        weights: {
          w1: [2, gates * 6, 4],
          r1: [2, gates * 6, 6],
          b1: [2, gates * 12],
          w2: [1, gates * 9, 12],
          r2: [1, gates * 9, 9],
          h2: [1, 2, 9],
          w3: [9, 3],
        },
        more: [list("target", 5, 2, 12), list("first", 0)],
      });
      const { groups, pruned } = await deadUnitsGo(model, feeds, "zero");
      expect(groups.map(({ units }) => units)).toEqual([6, 9]);
      const recurrent = pruned.graph.nodes.filter(({ opType }) => opType === op);
      expect(
        recurrent.map(({ attributes }) => attributes[0]!.value.type === "int" && attributes[0]!.value.value),
      ).toEqual([4, 6]);
    },
  );

  test("attention: a unit is a head, from all of q, k, v and the projection", async () => {
    const { model, feeds } = tiny({
      input: [1, 5, 8],
      declared: ["N", 5, 8],
      output: ["N", 5, 8],
      nodes: [
        node("MatMul", ["x", "w1"], ["a"]),
        node("Add", ["a", "b1"], ["qkv"]),
        node("Reshape", ["qkv", "split"], ["r"]),
        node("Transpose", ["r"], ["t"], { perm: ints(2, 0, 3, 1, 4) }),
        node("Split", ["t"], ["q1", "k1", "v1"], { axis: int(0) }),
        node("Squeeze", ["q1", "first"], ["q"]),
        node("Squeeze", ["k1", "first"], ["k"]),
        node("Squeeze", ["v1", "first"], ["v"]),
        node("Transpose", ["k"], ["kt"], { perm: ints(0, 1, 3, 2) }),
        node("MatMul", ["q", "kt"], ["scores"]),
        node("Softmax", ["scores"], ["p"], { axis: int(-1) }),
        node("MatMul", ["p", "v"], ["o"]),
        node("Transpose", ["o"], ["ot"], { perm: ints(0, 2, 1, 3) }),
        node("Reshape", ["ot", "merge"], ["m"]),
        node("MatMul", ["m", "w2"], ["z"]),
        node("Add", ["z", "x"], ["y"]),
      ],
      weights: { w1: [8, 36], b1: [36], w2: [12, 8] },
      more: [list("split", 0, 5, 3, 4, 3), list("merge", 0, 5, 12), list("first", 0)],
    });
    const { groups } = await deadUnitsGo(model, feeds);
    expect(groups.map(({ id, units }) => [id, units])).toEqual([["a", 4]]);
  });

  test("hidden features of an MLP over tokens, a computed Reshape target, an embedding table", async () => {
    const { model } = tiny({
      input: [2, 6],
      output: ["N", 3],
      nodes: [
        node("Gather", ["table", "ids"], ["e"]),
        node("MatMul", ["e", "w1"], ["h"]),
        node("Erf", ["h"], ["g"]),
        node("Shape", ["g"], ["s"]),
        node("Slice", ["s", "zero", "one"], ["n"]),
        node("Concat", ["n", "rest"], ["target"], { axis: int(0) }),
        node("Reshape", ["g", "target"], ["f"]),
        node("Gemm", ["f", "w2"], ["y"]),
      ],
      weights: { table: [7, 6], w1: [6, 9], w2: [36, 3] },
      more: [list("zero", 0), list("one", 1), list("rest", 36)],
    });
    const ids = { ...model, graph: { ...model.graph, inputs: [value("ids", ["N", 4], DataType.INT64)] } };
    const feeds = [1, 2].map((n) => ({
      ids: {
        dataType: DataType.INT64,
        dims: [n, 4],
        data: BigInt64Array.from({ length: 4 * n }, (_, i) => BigInt((i * 5) % 7)),
      },
    }));
    const { groups } = await deadUnitsGo(ids, feeds);
    expect(groups.map(({ id, units }) => [id, units])).toEqual([
      ["e", 6],
      ["h", 9],
    ]);
  });

  test("a weight on the left, and a bias that two convolutions share", async () => {
    const { model, feeds } = tiny({
      input: [4, 5],
      output: [3, 5],
      nodes: [
        node("MatMul", ["w1", "x"], ["a"]),
        node("Add", ["a", "b1"], ["s"]),
        node("Relu", ["s"], ["r"]),
        node("MatMul", ["w2", "r"], ["p"]),
        node("MatMul", ["w3", "r"], ["q"]),
        node("Sub", ["p", "q"], ["y"]),
      ],
      weights: { w1: [9, 4], b1: [9, 1], w2: [3, 9], w3: [3, 9] },
    });
    const { groups } = await deadUnitsGo(model, feeds);
    expect(groups.map(({ units }) => units)).toEqual([9]);
  });
});
