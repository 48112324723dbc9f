import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  freshNames,
  intAttribute,
  intsAttribute,
  mapGraphs,
  nodeOf,
  stringAttribute,
  walkGraphs,
  withAttributes,
} from "../../src/onnx/edit.ts";
import type { Graph, Model, Node } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { Captures, orderedNodes } from "../../src/onnx/scope.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { IR_VERSIONS, inOrder, OPSETS, validateModel } from "../../src/onnx/validate.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { bytes, graph, int, message, model, node, text } from "./bytes.ts";
import { check } from "./check.ts";

const graphOf = (nodes: readonly Node[], outputs: readonly string[] = []): Graph => ({
  name: "",
  nodes,
  initializers: [],
  sparseInitializers: [],
  inputs: [],
  outputs: outputs.map((name) => ({ name })),
  valueInfo: [],
});

const ifNode = (condition: string, output: string, then: Graph, otherwise: Graph): Node =>
  nodeOf("If", [condition], [output], {
    then_branch: { type: "graph", value: then },
    else_branch: { type: "graph", value: otherwise },
  });

describe("attributes", () => {
  const conv = nodeOf("Conv", ["x", "w"], ["y"], {
    pads: { type: "ints", value: [1, 1] },
    group: { type: "int", value: 4 },
  });

  test("getters answer the value, or the fallback where it is absent or of another type", () => {
    expect(intAttribute(conv, "group", 1)).toBe(4);
    expect(intAttribute(conv, "missing", 1)).toBe(1);
    expect(intAttribute(conv, "pads", undefined)).toBeUndefined();
    expect(intsAttribute(conv, "pads", null)).toEqual([1, 1]);
    expect(stringAttribute(conv, "auto_pad", "NOTSET")).toBe("NOTSET");
  });

  test("withAttributes sets, replaces and removes, and leaves the others as they are", () => {
    const changed = withAttributes(conv, {
      pads: undefined,
      group: { type: "int", value: 1 },
      k: { type: "string", value: "v" },
    });
    expect(changed.attributes.map(({ name }) => name)).toEqual(["group", "k"]);
    expect(intAttribute(changed, "group", 0)).toBe(1);
    expect(intAttribute(conv, "group", 0)).toBe(4);
    expect(withAttributes(conv, { k: { type: "int", value: 1 } }).attributes[0]).toBe(conv.attributes[0]);
  });
});

describe("graphs in graphs", () => {
  const inner = graphOf(
    [ifNode("c2", "t", graphOf([nodeOf("A", [], ["p"])], ["p"]), graphOf([], []))],
    ["t"],
  );
  const outer = graphOf(
    [nodeOf("B", [], ["c"]), ifNode("c", "y", inner, graphOf([nodeOf("C", [], ["q"])], ["q"]))],
    ["y"],
  );

  test("walkGraphs goes through all of them, outer ones first", () => {
    expect([...walkGraphs(outer)].map(({ path }) => path.join("/"))).toEqual([
      "",
      "If_1/then_branch",
      "If_1/then_branch/If_0/then_branch",
      "If_1/then_branch/If_0/else_branch",
      "If_1/else_branch",
    ]);
  });

  test("mapGraphs rewrites inner graphs before the graphs around them", () => {
    const order: string[] = [];
    const rename = (one: Graph, path: readonly string[]): Graph => {
      order.push(path.join("/"));
      return { ...one, name: `seen ${path.length}` };
    };
    const mapped = mapGraphs(outer, rename);
    expect(order.at(-1)).toBe("");
    expect(order.indexOf("If_1/then_branch/If_0/then_branch")).toBeLessThan(
      order.indexOf("If_1/then_branch"),
    );
    expect([...walkGraphs(mapped)].map(({ graph: one }) => one.name)).toEqual([
      "seen 0",
      "seen 2",
      "seen 4",
      "seen 4",
      "seen 2",
    ]);
  });

  test("what is not changed stays the same object", () => {
    expect(mapGraphs(outer, (one) => one)).toBe(outer);
    const deep = mapGraphs(outer, (one, path) => (path.length === 4 ? { ...one, name: "new" } : one));
    expect(deep).not.toBe(outer);
    expect(deep.nodes[0]).toBe(outer.nodes[0]);
  });

  test("freshNames gives each name once, and none that a subgraph has", () => {
    const fresh = freshNames({ graph: outer } as Model);
    expect([fresh("p"), fresh("p"), fresh("new"), fresh("new"), fresh("")]).toEqual([
      "p_1",
      "p_2",
      "new",
      "new_1",
      "_1",
    ]);
  });
});

describe("order of nodes", () => {
  test("a shuffled chain is sorted, and a sorted graph is the same object", async () => {
    const names = Array.from({ length: 12 }, (_, i) => `v${i}`);
    const chain = names.slice(1).map((name, i) => nodeOf("Relu", [names[i]!], [name]));
    await fc.assert(
      fc.property(fc.shuffledSubarray(chain, { minLength: chain.length }), (shuffled) => {
        expect(orderedNodes(graphOf(shuffled), new Captures())).toEqual(chain);
      }),
    );
    expect(orderedNodes(graphOf(chain), new Captures())).toBe(chain);
  });

  test("independent nodes keep their order", () => {
    const [a, b, c] = [nodeOf("A", ["z"], ["p"]), nodeOf("B", [], ["q"]), nodeOf("C", [], ["z"])];
    expect(orderedNodes(graphOf([a!, b!, c!]), new Captures())).toEqual([b, c, a]);
  });

  test("a node whose subgraph takes a value comes after the node that makes it", async () => {
    const branch = graph({ nodes: [node("Relu", ["h"], ["t"])], inputs: [], outputs: ["t"] });
    const attribute = (name: string) => bytes(text(1, name), message(6, branch), int(20, 5));
    const file = model({
      inputs: ["x", "c"],
      nodes: [
        node("If", ["c"], ["y"], attribute("then_branch"), attribute("else_branch")),
        node("Abs", ["x"], ["h"]),
      ],
    });
    const read = await check(file);
    const sorted = inOrder(read);
    expect(sorted.graph.nodes.map(({ opType }) => opType)).toEqual(["Abs", "If"]);
    expect(inOrder(sorted)).toBe(sorted);
    const again = await readModel(bytesSource(await modelBytes(sorted)));
    validateModel(again);
  });
});

test("the accepted versions are those that the runtime loads", async () => {
  const runtime = await nodeRuntime();
  const loads = async (opset: number, irVersion: number) => {
    try {
      await (await runtime.load(model({}, opset, irVersion))).release();
      return true;
    } catch {
      return false;
    }
  };
  expect(await loads(OPSETS.oldest, 8)).toBe(true);
  expect(await loads(OPSETS.newest, 8)).toBe(true);
  expect(await loads(OPSETS.newest + 1, 8)).toBe(false);
  expect(await loads(13, IR_VERSIONS.oldest)).toBe(true);
  expect(await loads(13, IR_VERSIONS.newest)).toBe(true);
  expect(await loads(13, IR_VERSIONS.newest + 1)).toBe(false);
});
