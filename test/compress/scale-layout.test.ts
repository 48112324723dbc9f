import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layoutOf, type MatrixLayout } from "../../src/compress/layer-matrix.ts";
import { matrixView } from "../../src/compress/storage/matrix-view.ts";
import { scaleLayouts, scalesIn } from "../../src/compress/storage/scale-layout.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { KINDS, layersOf, modelWith } from "./one-layer.ts";

/** Indices of the element in row-major order. */
function indices(at: number, dims: readonly number[]): number[] {
  return dims.map((dim, axis) => Math.floor(at / elementCount(dims.slice(axis + 1))) % dim);
}

function flat(index: readonly number[], dims: readonly number[]): number {
  return index.reduce((at, one, axis) => at * dims[axis]! + one, 0);
}

/** The scale at each place of the weight, by broadcasting in the view. */
function broadcast(view: readonly number[], scale: readonly number[], values: Float32Array): number[] {
  return Array.from({ length: elementCount(view) }, (_, at) => {
    const index = indices(at, view).map((one, axis) => (scale[axis] === 1 ? 0 : one));
    return values[flat(index, scale)]!;
  });
}

/** As the specification of DequantizeLinear-21 says it. */
function dequantized(
  dims: readonly number[],
  { axis, blockSize, dims: shape }: ReturnType<typeof scaleLayouts>[number],
  scales: Float32Array,
): number[] {
  return Array.from({ length: elementCount(dims) }, (_, at) => {
    const index = indices(at, dims);
    if (blockSize === null) return scales[index[axis]!]!;
    const block = index.map((one, i) => (i === axis ? Math.floor(one / blockSize) : one));
    return scales[flat(block, shape)]!;
  });
}

describe("layouts of the scales of DequantizeLinear", () => {
  test("each layout of random weights, views and scales gives every place its scale", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 });
    let found = 0;
    fc.assert(
      fc.property(sizes, fc.infiniteStream(fc.boolean()), (pieces, flips) => {
        const merged = () => {
          const dims: number[] = [];
          for (const size of pieces) {
            if (dims.length > 0 && flips.next().value) dims.push(dims.pop()! * size);
            else dims.push(size);
          }
          return dims;
        };
        const [dims, view] = [merged(), merged()];
        const scale = view.map((size) => (flips.next().value ? size : 1));
        const values = Float32Array.from({ length: elementCount(scale) }, (_, i) => i + 1);
        const expected = broadcast(view, scale, values);
        for (const layout of scaleLayouts(dims, view, scale)) {
          const scales = scalesIn(layout, dims, view, { dims: scale, values });
          expect(scales.length).toBe(elementCount(layout.dims));
          expect(dequantized(dims, layout, scales)).toEqual(expected);
          expect(layout.opset).toBe(layout.blockSize === null ? 13 : 21);
          found++;
        }
      }),
      { numRuns: 500, seed: 1 },
    );
    expect(found).toBeGreaterThan(300);
  });

  test("scales are repeated where a block spans axes; none where one ends within an axis", () => {
    expect(scaleLayouts([2, 6, 3], [2, 2, 9], [2, 2, 1]).map(({ dims }) => dims)).toEqual([
      [2, 2, 3],
      [2, 6, 1],
    ]);
    expect(scaleLayouts([2, 3, 4], [2, 2, 6], [2, 2, 1])).toEqual([]);
  });

  test("one scale a row: at opset 13 where rows lie along one axis, at 21 in any layer", async () => {
    const opsets: Record<string, number> = {};
    for (const kind of KINDS) {
      const layer = (await layersOf(await modelWith(kind))).find(({ name }) => name === kind.layer)!;
      const layout: MatrixLayout = layoutOf(layer.uses[0]!.geometry, layer.dims)!;
      const { view, rowDims } = matrixView(layout, layer.dims, layout.columns);
      const [best] = scaleLayouts(layer.dims, view, rowDims);
      opsets[kind.name] = best!.opset;
      expect(elementCount(best!.dims)).toBe(layout.count * layout.rows);
    }
    expect(Object.entries(opsets).flatMap(([name, opset]) => (opset === 21 ? [name] : []))).toEqual([
      "a ConvTranspose",
      "a grouped ConvTranspose",
      "a MatMul of a batch",
      "W of a bidirectional LSTM",
    ]);
  });
});
