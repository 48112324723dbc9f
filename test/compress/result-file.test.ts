import { expect, test } from "vitest";
import { decodeResult, encodeResult } from "../../src/compress/result-file.ts";
import { UNTOUCHED } from "../../src/compress/treatment.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { bytesSource, wholeOf } from "../../src/onnx/source.ts";
import { readSparseTensor } from "../../src/onnx/sparse.ts";
import { readTensor } from "../../src/onnx/tensor.ts";
import { kindOf, layersOf, modelWith, treaterOf, treatmentsOf } from "./one-layer.ts";

test("a result of every treatment comes back from its bytes, tensors as ranges of them", async () => {
  const kind = kindOf("a Conv", "Conv", { weight: [8, 6, 3, 3], input: [1, 6, 7, 7], bias: 8 });
  const [layer] = await layersOf(await modelWith(kind));
  const treater = await treaterOf(layer!, kernels);
  let sparse = 0;
  for (const treatment of [UNTOUCHED, ...treatmentsOf(treater.target)]) {
    const { result } = treater.treat(treatment);
    const bytes = await wholeOf(encodeResult(result));
    expect(await wholeOf(encodeResult(result))).toEqual(bytes);
    const found = await decodeResult(bytesSource(bytes));
    const plain = (one: typeof result) => ({
      ...one,
      weights: one.weights.map(({ stored, ...weight }) => ({
        ...weight,
        stored: { ...stored, parts: stored.parts.map(({ role }) => role) },
      })),
    });
    expect(plain(found)).toEqual(plain(result));
    const parts = (one: typeof result) => one.weights.flatMap(({ stored }) => stored.parts);
    for (const [i, { tensor }] of parts(found).entries()) {
      const before = parts(result)[i]!.tensor;
      if ("values" in tensor && "values" in before) {
        sparse += 1;
        expect(await readSparseTensor(tensor)).toEqual(await readSparseTensor(before));
      } else if (!("values" in tensor) && !("values" in before)) {
        expect(await readTensor(tensor)).toEqual(await readTensor(before));
      } else {
        expect.unreachable("dense became sparse");
      }
    }
  }
  expect(sparse).toBeGreaterThan(0);
});
