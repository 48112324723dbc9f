import { expect, test } from "vitest";
import { compressLayer } from "../../src/compress/compress-layer.ts";
import type { LayerFacts } from "../../src/compress/layer-facts.ts";
import { decodeResult, encodeResult } from "../../src/compress/result-file.ts";
import type { Treatment } from "../../src/compress/treatment.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { readSparseTensor } from "../../src/onnx/sparse.ts";
import { readTensor } from "../../src/onnx/tensor.ts";
import { floats } from "./tiny.ts";

const dims = [16, 16, 3, 3];
const facts: LayerFacts = {
  name: "conv",
  op: "Conv",
  dims,
  dataType: DataType.FLOAT,
  bytes: 16 * 16 * 9 * 4,
  macs: null,
  inputAxis: 1,
  fixed: null,
  sharing: {
    reason: null,
    work: { inputs: 16, outputs: 16, groups: 1, kernel: 9, positions: 100 },
    known: false,
    unitStrides: true,
  },
};

const treatments: Treatment[] = [
  { method: "none" },
  { method: "sparsity", pattern: "unstructured", zeros: 2000 },
  { method: "sparsity", pattern: "2:4" },
  {
    method: "kernel_sharing",
    bases: 3,
    form: "basis_first",
    sparsity: { method: "sparsity", pattern: "unstructured", zeros: 600 },
  },
];

for (const treatment of treatments) {
  test(`a result comes back from its bytes, tensors as ranges of them: ${JSON.stringify(treatment)}`, async () => {
    const weight = { dataType: DataType.FLOAT, dims, values: floats(dims) };
    const result = compressLayer(facts, weight, { layer: "conv", treatment, reason: "because" });
    const bytes = await encodeResult(result);
    expect(await encodeResult(result)).toEqual(bytes);
    const { tensors, ...rest } = await decodeResult(bytesSource(bytes));
    const { tensors: expected, ...expectedRest } = result;
    expect(rest).toEqual(expectedRest);
    expect(tensors.map((one) => one.role)).toEqual(expected.map((one) => one.role));
    for (const [i, { tensor }] of tensors.entries()) {
      const before = expected[i]!.tensor;
      if ("values" in tensor && "values" in before) {
        expect(await readSparseTensor(tensor)).toEqual(await readSparseTensor(before));
      } else if (!("values" in tensor) && !("values" in before)) {
        expect(await readTensor(tensor)).toEqual(await readTensor(before));
      } else {
        expect.unreachable("dense became sparse");
      }
    }
  });
}
