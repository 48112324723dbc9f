import { expect, test } from "vitest";
import { RuntimeShapes } from "../../../src/evaluate/segments/runtime-shapes.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import { nodeOf } from "../../../src/onnx/edit.ts";
import { inferShapes } from "../../../src/onnx/shapes/infer.ts";
import { tensorOf } from "../../../src/onnx/tensor.ts";
import { graphOf, modelOf, value } from "../../compress/tiny.ts";

const sizes = (name: string, ...numbers: number[]) =>
  tensorOf(name, {
    dataType: DataType.INT64,
    dims: [numbers.length],
    data: BigInt64Array.from(numbers, BigInt),
  });

test("an open size loses its symbol where a Reshape says -1, and in all that is computed from it", async () => {
  const graph = graphOf({
    nodes: [
      nodeOf("Relu", ["x"], ["same"]),
      nodeOf("Reshape", ["same", "copied"], ["kept"]),
      nodeOf("Reshape", ["same", "computed"], ["lost"]),
      nodeOf("Relu", ["lost"], ["after"]),
      nodeOf("Add", ["kept", "after"], ["y"]),
    ],
    initializers: [sizes("copied", 0, 24), sizes("computed", -1, 24)],
    inputs: [value("x", ["N", 4, 6])],
    outputs: [value("y", ["N", 24])],
  });
  const shapes = new RuntimeShapes(graph, await inferShapes(modelOf(graph)));
  const dims = (name: string) => shapes.of(name)?.dims;
  expect(dims("same")).toEqual(["N", 4, 6]);
  expect(dims("kept")).toEqual(["N", 24]);
  for (const name of ["lost", "after", "y"]) expect(dims(name)).toEqual([null, 24]);
  const stated = { ...graph, valueInfo: [value("lost", ["N", 24])] };
  const told = new RuntimeShapes(stated, await inferShapes(modelOf(stated)));
  expect(told.of("after")?.dims).toEqual(["N", 24]);
});
