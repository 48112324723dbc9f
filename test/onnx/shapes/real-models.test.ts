import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { DataType } from "../../../src/onnx/data-type.ts";
import { tensorInputs } from "../../../src/onnx/inputs.ts";
import type { Model } from "../../../src/onnx/model.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { inferDefaultShapes } from "../../../src/onnx/shapes/defaults.ts";
import { inferShapes } from "../../../src/onnx/shapes/infer.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { elementCount } from "../../../src/onnx/tensor-value.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { type RealModel, realModels } from "../../models/registry.ts";
import { undeclared } from "./conformance.ts";

const ORT_TYPES: Readonly<Record<number, string>> = {
  [DataType.FLOAT]: "float32",
  [DataType.INT64]: "int64",
  [DataType.INT32]: "int32",
  [DataType.BOOL]: "bool",
};

/** Dims of every value of the graph that ONNX Runtime computes, with all of them made outputs. */
async function measuredDims(model: Model, feeds: Feeds): Promise<Map<string, readonly number[]>> {
  const outputs = new Set(model.graph.outputs.map(({ name }) => name));
  const computed = model.graph.nodes.filter(({ opType }) => opType !== "Constant");
  const added = new Set(
    computed.flatMap((node) => node.outputs).filter((name) => name && !outputs.has(name)),
  );
  const all = {
    ...model,
    graph: { ...model.graph, outputs: [...model.graph.outputs, ...[...added].map((name) => ({ name }))] },
  };
  const session = await InferenceSession.create(await modelBytes(all), {
    graphOptimizationLevel: "disabled",
    logSeverityLevel: 3,
  });
  const given: Record<string, OrtTensor> = {};
  for (const [name, { dataType, data, dims }] of Object.entries(feeds)) {
    given[name] = new OrtTensor(ORT_TYPES[dataType] as "float32", data as Float32Array, dims);
  }
  const results = await session.run(given);
  await session.release();
  return new Map(Object.entries(results).map(([name, { dims }]) => [name, dims]));
}

/** Zeros where all inputs are floats, whose numbers decide no shape; natural inputs where there are indices. */
async function feedsOf(real: RealModel, model: Model): Promise<Feeds> {
  if (tensorInputs(model).every(({ dataType }) => dataType === DataType.FLOAT)) {
    return Object.fromEntries(
      Object.entries(real.inputShapes).map(([name, dims]) => [
        name,
        { dataType: DataType.FLOAT, dims, data: new Float32Array(elementCount(dims)) },
      ]),
    );
  }
  const [feeds] = await real.samples(1);
  if (!feeds) throw new Error(`no sample for ${real.name}`);
  return feeds;
}

describe("every intermediate has the shape that onnxruntime-node gives it, by the rules alone", () => {
  for (const real of realModels) {
    test.skipIf(real.missing)(`${real.name} ${real.missing ?? ""}`, async () => {
      const model = undeclared(await readModel(bytesSource(await real.bytes())));
      const feeds = await feedsOf(real, model);
      const inputShapes = Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, dims]));
      const shapes = await inferShapes(model, { inputShapes });
      const measured = await measuredDims(model, feeds);
      const inferred = new Map(
        [...measured.keys()].map((name) => [name, shapes.of(model.graph, name)?.dims]),
      );
      expect(inferred).toEqual(measured);
      expect(measured.size).toBeGreaterThan(3);
      expect(shapes.warnings).toEqual([]);
    });
  }
});

describe("usual sizes fit every real model", () => {
  for (const real of realModels) {
    test.skipIf(real.missing)(`${real.name} ${real.missing ?? ""}`, async () => {
      const model = await readModel(bytesSource(await real.bytes()));
      const { shapes, inputShapes } = await inferDefaultShapes(model);
      expect(shapes.warnings).toEqual([]);
      for (const { name } of model.graph.outputs) {
        expect(shapes.of(model.graph, name)?.dims.every((dim) => typeof dim === "number")).toBe(true);
      }
      expect(Object.keys(inputShapes)).toEqual(Object.keys(real.inputShapes));
    });
  }
});
