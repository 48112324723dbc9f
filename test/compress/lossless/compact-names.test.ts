import { describe, expect, test } from "vitest";
import { compactNames } from "../../../src/compress/lossless/compact-names.ts";
import { simplify } from "../../../src/compress/lossless/simplify.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { Graph, Model } from "../../../src/onnx/model.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { validateModel } from "../../../src/onnx/validate.ts";
import { modelBytes } from "../../../src/onnx/write.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import { realModels } from "../../models/registry.ts";
import { graphOf, int, modelOf, node, value } from "../tiny.ts";
import { floatsTensor, printed, random } from "./check.ts";

async function runInWeb(bytes: Uint8Array, feeds: Feeds): Promise<Feeds> {
  const session = await (await nodeRuntime()).load(bytes);
  const results = await session.run(feeds);
  await session.release();
  return results;
}

const body = (graph: Graph) => ({ type: "graph" as const, value: graph });

/** An If whose branches use outer values, and give one of them a meaning of its own under the same name. */
function branching(): Model {
  const branch = (nodes: Graph["nodes"]) => body(graphOf({ nodes, outputs: [value("result", [3])] }));
  const graph = graphOf({
    inputs: [value("x", [3]), value("flag", [], DataType.BOOL)],
    outputs: [value("y", [3])],
    nodes: [
      node("Mul", ["x", "a long constant"], ["a long product"]),
      node("If", ["flag"], ["chosen"], {
        then_branch: branch([
          node("Neg", ["a long product"], ["inner"]),
          node("Add", ["inner", "a long constant"], ["result"]),
        ]),
        else_branch: branch([
          node("Exp", ["a long product"], ["inner"]),
          node("Mul", ["inner", "x"], ["result"]),
        ]),
      }),
      node("Sub", ["chosen", "a long product"], ["y"]),
    ],
    initializers: [floatsTensor("a long constant", [3], [1, 2, 3])],
  });
  return modelOf(graph, 16);
}

describe("compactNames", () => {
  test("inputs and outputs keep their names, also when these are short; the most used inner value is shortest", () => {
    const graph = graphOf({
      inputs: [value("a", [2])],
      outputs: [value("b", [2])],
      nodes: [
        node("Neg", ["a"], ["first value"]),
        node("Mul", ["first value", "first value"], ["second value"]),
        node("Add", ["second value", "first value"], ["b"]),
      ],
    });
    const { graph: compact } = compactNames(modelOf(graph));
    expect(printed(compact.nodes)).toBe("Neg(a) → c\nMul(c, c) → d\nAdd(d, c) → b");
    expect(compact.nodes.every(({ name }) => name === "")).toBe(true);
  });

  test("branches of an If: same outputs in onnxruntime-web, bit for bit, on either way", async () => {
    const model = branching();
    const [before, after] = [await modelBytes(model), await modelBytes(compactNames(model))];
    validateModel(await readModel(bytesSource(after)));
    expect(after.length).toBeLessThan(before.length - 100);
    for (const truth of [0, 1]) {
      const flag = { dataType: DataType.BOOL, dims: [], data: Uint8Array.of(truth) };
      const feeds = { x: random([3]), flag };
      expect(await runInWeb(after, feeds)).toEqual(await runInWeb(before, feeds));
    }
  });

  test("more values than one character names: all different, in the order of their use", async () => {
    const names = Array.from({ length: 200 }, (_, i) => `a value with a long name ${i}`);
    const nodes = names.map((name, i) => node("Neg", [i === 0 ? "x" : names[i - 1]!], [name]));
    const graph = graphOf({
      inputs: [value("x", [2])],
      outputs: [value("y", [2])],
      nodes: [...nodes, node("Flatten", [names.at(-1)!], ["y"], { axis: int(0) })],
    });
    const compact = compactNames(modelOf(graph));
    const outputs = compact.graph.nodes.flatMap((each) => each.outputs);
    expect(new Set(outputs).size).toBe(201);
    expect(outputs.every((name) => /^[A-Za-z_][A-Za-z0-9_]?$/.test(name))).toBe(true);
  });

  test("a graph with fields that may speak of values by name keeps the names", () => {
    const model = branching();
    const unknown = [{ number: 14, encoded: Uint8Array.of(114, 0) }];
    const compact = compactNames({ ...model, graph: { ...model.graph, unknown } });
    expect(compact.graph.nodes.map(({ outputs }) => outputs)).toEqual(
      model.graph.nodes.map(({ outputs }) => outputs),
    );
  });

  test("twice is once", async () => {
    const once = compactNames(branching());
    expect(await modelBytes(compactNames(once))).toEqual(await modelBytes(once));
  });

  for (const name of ["gcn-mnist", "vit-mnist", "voice-activity", "keyword-head"]) {
    const real = realModels.find((each) => each.name === name)!;
    const title = `${name}: same interface, smaller file, outputs in onnxruntime-web bit for bit`;
    test.skipIf(real.missing)(real.missing ? `${title} (skipped: ${real.missing})` : title, async () => {
      const { model } = await simplify(await readModel(bytesSource(await real.bytes())));
      const [before, after] = [await modelBytes(model), await modelBytes(compactNames(model))];
      const reread = await readModel(bytesSource(after));
      validateModel(reread);
      expect(after.length).toBeLessThan(before.length - 1000);
      expect(reread.graph.inputs).toEqual(model.graph.inputs);
      expect(reread.graph.outputs).toEqual(model.graph.outputs);
      const [feeds] = await real.samples(1);
      expect(await runInWeb(after, feeds!)).toEqual(await runInWeb(before, feeds!));
    });
  }
});
