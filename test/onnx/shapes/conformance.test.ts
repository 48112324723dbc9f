import { describe, expect, test } from "vitest";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { Model, Tensor } from "../../../src/onnx/model.ts";
import { inferShapes } from "../../../src/onnx/shapes/infer.ts";
import {
  conformanceInputs,
  conformanceMissing,
  conformanceModel,
  conformanceOutputs,
  conformanceTests,
  undeclared,
  withInputs,
} from "./conformance.ts";

interface Tally {
  answered: number;
  total: number;
  wrong: string[];
  open: Set<string>;
}

/** Compares the type and shape that rules alone tell with those of the expected outputs. */
async function compare(tally: Tally, name: string, model: Model, expected: readonly (Tensor | undefined)[]) {
  const shapes = await inferShapes(model);
  for (const { detail } of shapes.warnings) tally.wrong.push(`${name}: ${detail}`);
  for (const [i, tensor] of expected.entries()) {
    if (!tensor) continue;
    tally.total++;
    const found = shapes.of(model.graph, model.graph.outputs[i]?.name ?? "");
    const differs = found?.dims.some((dim, axis) => typeof dim === "number" && dim !== tensor.dims[axis]);
    if (found && (differs || found.dims.length !== tensor.dims.length)) {
      tally.wrong.push(`${name}: [${found.dims}] for [${tensor.dims}]`);
    }
    // The data sets keep bfloat16 as uint16.
    const type = found?.dataType === DataType.BFLOAT16 ? DataType.UINT16 : found?.dataType;
    if (type && type !== tensor.dataType && found?.dataType !== tensor.dataType) {
      tally.wrong.push(`${name}: type ${type} for ${tensor.dataType}`);
    }
    if (found?.dims.every((dim) => typeof dim === "number") && found.dataType) tally.answered++;
    else tally.open.add(model.graph.nodes.at(-1)?.opType ?? "");
  }
}

async function sweep(prepare: (name: string, model: Model) => Promise<Model>): Promise<Tally> {
  const tally: Tally = { answered: 0, total: 0, wrong: [], open: new Set() };
  for (const name of conformanceTests()) {
    const model = await conformanceModel(name);
    const expected = await conformanceOutputs(name, model);
    await compare(tally, name, await prepare(name, undeclared(model)), expected);
  }
  return tally;
}

describe.skipIf(conformanceMissing)(
  `ONNX's node tests, declared outputs taken away ${conformanceMissing ?? ""}`,
  () => {
    test("with the contents of inputs known, rules tell at least 96% of the output shapes and none wrongly", async () => {
      const tally = await sweep(async (name, model) =>
        withInputs(model, await conformanceInputs(name, model)),
      );
      expect(tally.wrong).toEqual([]);
      expect(tally.total).toBeGreaterThan(1000);
      expect(tally.answered / tally.total).toBeGreaterThanOrEqual(0.96);
      // What is left depends on the numbers themselves.
      expect([...tally.open].sort()).toEqual(["NonMaxSuppression", "StringNormalizer", "Unique"]);
    });

    test("with only the shapes of inputs known, rules tell at least 84% and none wrongly", async () => {
      const tally = await sweep(async (_, model) => model);
      expect(tally.wrong).toEqual([]);
      expect(tally.answered / tally.total).toBeGreaterThanOrEqual(0.84);
    });
  },
);
