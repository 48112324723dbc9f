import { expect, test } from "vitest";
import { jumpsOf } from "../../src/onnx/jumps.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { floatTensor, graphOf, node, value } from "../compress/tiny.ts";
import { realModel, realModels } from "../models/registry.ts";

test("outputs that a comparison of computed numbers reaches, with the operators; not those of shapes and constants", () => {
  const graph = graphOf({
    nodes: [
      node("MatMul", ["x", "w"], ["a"]),
      node("Relu", ["a"], ["smooth"]),
      node("Equal", ["a", "w"], ["e"]),
      node("Where", ["e", "a", "w"], ["chosen"]),
      node("Floor", ["chosen"], ["both"]),
      node("Shape", ["x"], ["s"]),
      node("Less", ["s", "s"], ["l"]),
      node("Where", ["l", "a", "w"], ["shaped"]),
      node("Round", ["w"], ["constant"]),
    ],
    initializers: [floatTensor("w", [2, 2], new Float32Array(4))],
    inputs: [value("x", [2, 2])],
    outputs: ["smooth", "chosen", "both", "shaped", "constant"].map((name) => ({ name })),
  });
  expect(jumpsOf(graph)).toEqual(
    new Map([
      ["chosen", ["Equal"]],
      ["both", ["Equal", "Floor"]],
    ]),
  );
});

const missing = realModels.find(({ name }) => name === "line-detector")!.missing;

test.skipIf(missing !== null)("the line detector's scores are peaks that it finds by comparing", async () => {
  const { graph } = await readModel(bytesSource(await realModel("line-detector").bytes()));
  expect(jumpsOf(graph)).toEqual(new Map([["scores", ["Equal"]]]));
});
