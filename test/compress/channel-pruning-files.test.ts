import { describe, expect, test } from "vitest";
import { findChannelGroups } from "../../src/compress/channel-pruning/groups.ts";
import { pruneChannels } from "../../src/compress/channel-pruning/prune.ts";
import { referenceKernels } from "../../src/kernels/reference/kernels.ts";
import { narrow } from "../../src/onnx/constant/half.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Model } from "../../src/onnx/model.ts";
import { inferShapes } from "../../src/onnx/shapes/infer.ts";
import { readTensor, tensorOf } from "../../src/onnx/tensor.ts";
import { deadUnitsGo, momentsOf, outputsOf, relativeDifference } from "./channel-pruning-check.ts";
import { conv, tiny } from "./channel-pruning-tiny.ts";
import { int, ints, node, value } from "./tiny.ts";

describe("old and odd files", () => {
  test("opset 9 and IR 3: sizes in attributes, initializers that are inputs", async () => {
    const { model, feeds } = tiny({
      input: [2, 3, 5, 5],
      output: [2, 2],
      opset: 9,
      nodes: [
        conv("x", "w1", "a", {}, "b1"),
        node("Pad", ["a"], ["p"], {
          pads: ints(0, 2, 0, 0, 0, 1, 0, 0),
          value: { type: "float", value: 0.5 },
        }),
        node("Add", ["p", "shift"], ["s"]),
        node("Split", ["s"], ["left", "right"], { axis: int(1), split: ints(6, 3) }),
        node("Slice", ["left"], ["part"], { axes: ints(1), starts: ints(1), ends: ints(100) }),
        node("Concat", ["part", "right"], ["c"], { axis: int(1) }),
        node("GlobalAveragePool", ["c"], ["g"]),
        node("Squeeze", ["g"], ["f"], { axes: ints(2, 3) }),
        node("Gemm", ["f", "w2", "b2"], ["y"]),
      ],
      weights: { w1: [6, 3, 1, 1], b1: [6], shift: [9, 1, 1], w2: [8, 2], b2: [1, 2] },
    });
    const { graph } = model;
    const old: Model = {
      ...model,
      irVersion: 3,
      graph: {
        ...graph,
        inputs: [...graph.inputs, ...graph.initializers.map(({ name, dims }) => value(name, dims))],
      },
    };
    const { groups, pruned } = await deadUnitsGo(old, feeds);
    expect(groups.map(({ units }) => units)).toEqual([6]);
    expect(pruned.graph.inputs.map(({ name }) => name)).toContain("x");
  });

  test("float16: weights and biases stay float16, outputs within 2e-3", async () => {
    const { model, feeds } = tiny({
      input: [4, 6],
      output: [4, 3],
      nodes: [
        node("Cast", ["x"], ["h"], { to: int(DataType.FLOAT16) }),
        node("Gemm", ["h", "w1", "b1"], ["a"]),
        node("Relu", ["a"], ["r"]),
        node("MatMul", ["r", "w2"], ["m"]),
        node("Cast", ["m"], ["y"], { to: int(DataType.FLOAT) }),
      ],
      weights: { w1: [6, 9], b1: [9], w2: [9, 3] },
    });
    const half = await Promise.all(
      model.graph.initializers.map(async (tensor) => {
        const value = await readTensor(tensor);
        const zeroed = (value.data as Float32Array).map((one, i) =>
          tensor.name === "w1" && i % 9 === 4 ? 0 : tensor.name === "b1" && i === 4 ? 0.75 : one,
        );
        const data = narrow(DataType.FLOAT16, zeroed);
        return tensorOf(tensor.name, { dataType: DataType.FLOAT16, dims: tensor.dims, data });
      }),
    );
    const narrowed: Model = { ...model, graph: { ...model.graph, initializers: half } };
    const { groups } = findChannelGroups(narrowed, await inferShapes(narrowed));
    const pruned = await pruneChannels(narrowed, groups, new Map([["a", [4]]]), {
      moments: await momentsOf(narrowed, feeds),
      kernels: referenceKernels,
    });
    expect(pruned.graph.initializers.map(({ name, dims, dataType }) => [name, dims, dataType])).toEqual([
      ["w1", [6, 8], DataType.FLOAT16],
      ["b1", [8], DataType.FLOAT16],
      ["w2", [8, 3], DataType.FLOAT16],
      ["m_bias", [3], DataType.FLOAT16],
    ]);
    const difference = relativeDifference(await outputsOf(narrowed, feeds), await outputsOf(pruned, feeds));
    expect(difference).toBeLessThan(2e-3);
  });

  test("axes of vast size, groups of zero, axes that are not there: nothing is followed, nothing fails", async () => {
    const { model } = tiny({
      input: [1, 3, 6, 6],
      output: [],
      nodes: [
        conv("x", "w1", "a", { group: int(0) }),
        node("Concat", ["a", "a"], ["c"], { axis: int(-9) }),
        node("Transpose", ["c"], ["t"], { perm: ints(0, 7, -1) }),
        node("Flatten", ["t"], ["f"], { axis: int(12) }),
        node("Split", ["f"], ["s", "s2"], { axis: int(5) }),
        node("DepthToSpace", ["a"], ["d"], { blocksize: int(-3) }),
        node("Add", ["empty", "d"], ["e"]),
        node("Conv", ["a", "w1"], ["y"], { group: int(1e15) }),
      ],
      weights: { w1: [6, 3, 1, 1], empty: [2 ** 40, 0] },
    });
    expect(findChannelGroups(model, await inferShapes(model)).groups).toEqual([]);
  });
});
