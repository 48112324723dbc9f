import { describe, expect, test } from "vitest";
import { withTensorsAtHand } from "../../../src/onnx/constant/at-hand.ts";
import { evaluableOperators, evaluateNode } from "../../../src/onnx/constant/evaluate.ts";
import { widen } from "../../../src/onnx/constant/half.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import { nodeOf } from "../../../src/onnx/edit.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";
import { testdataMissing, testModelBytes, testNames, testValues } from "./testdata.ts";

/** Of ONNX's operator tests, those with one node of an operator that is evaluated. */
async function cases() {
  const operators = new Set(evaluableOperators());
  const found = [];
  for (const name of testNames()) {
    const model = await readModel(bytesSource(await testModelBytes(name)));
    const [node, ...others] = model.graph.nodes;
    if (!node || others.length > 0 || node.domain !== "" || !operators.has(node.opType)) continue;
    const opset = model.opsetImports.find(({ domain }) => domain === "")!.version;
    const values = await testValues(name, model);
    if (!values) continue;
    const byName = new Map(model.graph.inputs.map((input, i) => [input.name, values.inputs[i]]));
    found.push({
      name,
      node,
      opset,
      inputs: node.inputs.map((each) => byName.get(each)),
      expected: values.outputs,
    });
  }
  return found;
}

const found = await cases();

describe("evaluateNode on ONNX's own operator tests", () => {
  const operators = [...new Set(found.map(({ node }) => node.opType))].sort();
  if (testdataMissing) test.skip(`(skipped: ${testdataMissing})`, () => {});
  for (const operator of operators) {
    test(`${operator}: floats within 1e-6 relative, half floats within one step, everything else equal`, async () => {
      let evaluated = 0;
      for (const { name, node, opset, inputs, expected } of found) {
        if (node.opType !== operator) continue;
        // Operators whose tests are older than opset 7 did not change then.
        const outputs = evaluateNode(await withTensorsAtHand(node), inputs, Math.max(opset, 7));
        if (!outputs) continue;
        evaluated++;
        for (const [i, value] of expected.entries()) {
          expect(outputs[i]!.dims, name).toEqual(value.dims);
          expect(outputs[i]!.dataType, name).toBe(value.dataType);
          expectClose(outputs[i]!, value, name);
        }
      }
      expect(evaluated, `tests of ${operator} that were evaluated`).toBeGreaterThan(0);
    });
  }
  test.skipIf(testdataMissing)("100 operators or more are covered by tests of ONNX", () => {
    expect(operators.length).toBeGreaterThanOrEqual(100);
  });
});

/** One step of the type. ONNX's generator cut numbers off to bfloat16, where the standard and ONNX Runtime round. */
const HALF_BOUNDS: Readonly<Record<number, number>> = {
  [DataType.FLOAT16]: 2 ** -10,
  [DataType.BFLOAT16]: 2 ** -7,
};

function expectClose(actual: TensorValue, expected: TensorValue, name: string): void {
  const [a, b] = [numbers(actual), numbers(expected)];
  expect(a.length, name).toBe(b.length);
  const float = a instanceof Float32Array || a instanceof Float64Array;
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    if (Object.is(x, y) || x === y) continue;
    if (!float) expect.fail(`${name}: entry ${i} is ${x} instead of ${y}`);
    const bound = (HALF_BOUNDS[actual.dataType] ?? 1e-6) * Math.max(1, Math.abs(y as number));
    expect(Math.abs((x as number) - (y as number)), `${name}: entry ${i}, ${x} for ${y}`).toBeLessThanOrEqual(
      bound,
    );
  }
}

function numbers({ dataType, data }: TensorValue): ArrayLike<number | bigint | string> {
  const half = dataType === DataType.FLOAT16 || dataType === DataType.BFLOAT16;
  return half ? widen(dataType, data as Uint16Array) : data;
}

const floats = (dims: number[], entries: number[]): TensorValue => ({
  dataType: DataType.FLOAT,
  dims,
  data: Float32Array.from(entries),
});
const ints = (dims: number[], entries: number[]): TensorValue => ({
  dataType: DataType.INT64,
  dims,
  data: BigInt64Array.from(entries, BigInt),
});

describe("evaluateNode", () => {
  test("what a hostile constant declares is never allocated: 10^12 elements give null", () => {
    const huge = ints([1], [1e12]);
    expect(evaluateNode(nodeOf("ConstantOfShape", ["s"], ["y"]), [huge], 13)).toBeNull();
    expect(evaluateNode(nodeOf("Expand", ["x", "s"], ["y"]), [floats([1], [1]), huge], 13)).toBeNull();
    expect(evaluateNode(nodeOf("Tile", ["x", "s"], ["y"]), [floats([1], [1]), huge], 13)).toBeNull();
    const range = [ints([], [0]), huge, ints([], [1])];
    expect(
      evaluateNode(nodeOf("Range", ["a", "b", "c"], ["y"]), [range[0], { ...huge, dims: [] }, range[2]], 13),
    ).toBeNull();
    const pads = ints([2], [0, 1e12]);
    expect(evaluateNode(nodeOf("Pad", ["x", "p"], ["y"]), [floats([1], [1]), pads], 13)).toBeNull();
    const eye = nodeOf("OneHot", ["i", "d", "v"], ["y"]);
    expect(evaluateNode(eye, [ints([1], [0]), { ...huge, dims: [] }, floats([2], [0, 1])], 13)).toBeNull();
  });

  test("sizes that overflow give null", () => {
    const overflow = ints([3], [2 ** 40, 2 ** 40, 2 ** 40]);
    expect(evaluateNode(nodeOf("ConstantOfShape", ["s"], ["y"]), [overflow], 13)).toBeNull();
    expect(evaluateNode(nodeOf("Reshape", ["x", "s"], ["y"]), [floats([1], [1]), overflow], 13)).toBeNull();
  });

  test("unknown operators, other domains, random ones and unknown inputs give null", () => {
    expect(evaluateNode(nodeOf("RandomNormal", [], ["y"]), [], 13)).toBeNull();
    expect(evaluateNode({ ...nodeOf("Add", ["a", "b"], ["y"]), domain: "com.example" }, [], 13)).toBeNull();
    expect(evaluateNode(nodeOf("Add", ["a", "b"], ["y"]), [floats([], [1]), undefined], 13)).toBeNull();
  });

  test("integer division truncates, and by zero gives null", () => {
    const divide = (a: number, b: number) =>
      evaluateNode(nodeOf("Div", ["a", "b"], ["y"]), [ints([], [a]), ints([], [b])], 13)?.[0]?.data[0];
    expect(divide(-7, 2)).toBe(-3n);
    expect(divide(7, 0)).toBeUndefined();
  });

  test("Slice before opset 10 reads attributes; ends of INT64_MAX are clamped from 10 on", () => {
    const source = floats([4], [1, 2, 3, 4]);
    const old = nodeOf("Slice", ["x"], ["y"], {
      starts: { type: "ints", value: [1] },
      ends: { type: "ints", value: [2 ** 53] },
    });
    expect(evaluateNode(old, [source], 9)?.[0]?.data).toEqual(Float32Array.of(2, 3, 4));
    const max: TensorValue = { dataType: DataType.INT64, dims: [1], data: BigInt64Array.of(2n ** 63n - 1n) };
    const min: TensorValue = { dataType: DataType.INT64, dims: [1], data: BigInt64Array.of(-(2n ** 63n)) };
    const node = nodeOf("Slice", ["x", "s", "e", "a", "t"], ["y"]);
    const axes = ints([1], [0]);
    expect(evaluateNode(node, [source, ints([1], [2]), max, axes, ints([1], [1])], 13)?.[0]?.data).toEqual(
      Float32Array.of(3, 4),
    );
    expect(evaluateNode(node, [source, ints([1], [-1]), min, axes, ints([1], [-1])], 13)?.[0]?.data).toEqual(
      Float32Array.of(4, 3, 2, 1),
    );
  });

  test("float arithmetic rounds to float32 at every step", () => {
    const [sum] = evaluateNode(nodeOf("Add", ["a", "b"], ["y"]), [floats([], [0.1]), floats([], [0.2])], 13)!;
    expect(sum!.data[0]).toBe(Math.fround(Math.fround(0.1) + Math.fround(0.2)));
  });

  test("casts: a float outside of the integer type is not evaluated; integers wrap", () => {
    const cast = (value: TensorValue, to: number) =>
      evaluateNode(nodeOf("Cast", ["x"], ["y"], { to: { type: "int", value: to } }), [value], 13)?.[0]
        ?.data[0];
    expect(cast(floats([], [300]), DataType.UINT8)).toBeUndefined();
    expect(cast(floats([], [Number.NaN]), DataType.INT64)).toBeUndefined();
    expect(cast(floats([], [-2.7]), DataType.INT64)).toBe(-2n);
    expect(cast(ints([], [257]), DataType.UINT8)).toBe(1);
    expect(cast(floats([], [65520]), DataType.FLOAT16)).toBe(0x7c00);
    expect(cast(floats([], [65519]), DataType.FLOAT16)).toBe(0x7bff);
    expect(cast(floats([], [2 ** -25]), DataType.FLOAT16)).toBe(0);
    expect(cast(floats([], [2 ** -24]), DataType.FLOAT16)).toBe(1);
  });
});
