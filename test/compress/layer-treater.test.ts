import { describe, expect, test } from "vitest";
import { compactNames } from "../../src/compress/lossless/compact-names.ts";
import { encodeResult } from "../../src/compress/result-file.ts";
import type { TreatedLayer } from "../../src/compress/treated-layer.ts";
import { UNTOUCHED } from "../../src/compress/treatment.ts";
import { countNonzero } from "../../src/compress/weight.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { inspectModel } from "../../src/onnx/inspect.ts";
import type { Model } from "../../src/onnx/model.ts";
import { wholeOf } from "../../src/onnx/source.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import { compared, prepared, slowError } from "./layer-treater-check.ts";
import { feedsOf, integers, KINDS, lstm, treatmentsOf } from "./one-layer.ts";

/** With the short names that an artifact gets. */
const sizeOf = async (model: Model) => (await modelBytes(compactNames(model))).length;

/** Tensors of the layer's weights in the model, by their elements: what is stored, decoded. */
function storedNumbers({ result }: TreatedLayer): number {
  return result.weights
    .filter(({ role }) => role !== "bias")
    .reduce((sum, { stored }) => sum + elementCount(stored.decode.dims), 0);
}

describe("every treatment computes to 1e-5 what its dense weight computes, and tells the truth", () => {
  for (const kind of KINDS) {
    test(kind.name, async () => {
      const one = await prepared(kind);
      const { model, layer, treater } = one;
      const before = { bytes: await sizeOf(model), macs: (await inspectModel(model)).macs };
      for (const [i, treatment] of treatmentsOf(treater.target).entries()) {
        const which = JSON.stringify(treatment);
        const treated = treater.treat(treatment);
        const { candidate, result, effective } = treated;
        const { stats } = result;
        const edited = await compared(one, treated, { feeds: feedsOf(kind), both: i % 4 === 0 });

        const grown = (await sizeOf(edited)) - before.bytes;
        expect(candidate.bytes).toBe(stats.bytes.compressed);
        expect(Math.abs(candidate.bytes - layer.bytes - grown), which).toBeLessThanOrEqual(
          0.1 * candidate.bytes + 150,
        );
        expect((await inspectModel(edited)).macs! - before.macs!, which).toBe(
          stats.macs.compressed! - stats.macs.original!,
        );
        expect(stats.parameters).toEqual({
          original: elementCount(kind.weight),
          compressed: storedNumbers(treated),
        });
        expect(stats.nonzero.original).toBe(elementCount(kind.weight));
        if (treatment.form === null) expect(stats.nonzero.compressed).toBe(countNonzero(effective));
        expect(stats.nonzero.compressed, which).toBeLessThanOrEqual(stats.parameters.compressed);

        const error = slowError(one, treated);
        expect(Math.abs(stats.layerError - error), which).toBeLessThanOrEqual(1e-4 * error + 1e-8);
        if (one.moments === null) expect(candidate.error).toBe(stats.layerError);
        else expect(candidate.error === 0, which).toBe(stats.layerError === 0);
        const values = treater.treat(UNTOUCHED).effective;
        const square = (list: ArrayLike<number>) => Array.from(list).reduce((sum, x) => sum + x * x, 0);
        const difference = Array.from(effective, (w, i) => w - values[i]!);
        expect(Math.abs(stats.weightError - square(difference) / square(values))).toBeLessThan(1e-9);
      }
    });
  }
});

test("DequantizeLinear says every layer at opset 21; what it cannot say at 14 is remarked", async () => {
  const folds: string[] = [];
  for (const kind of KINDS) {
    const feeds = feedsOf(kind);
    for (const [levels, group] of [
      [255, null],
      [15, 4],
    ] as const) {
      const storage = integers(levels, group, "dequantize_linear");
      const treatment = { form: null, sparsity: null, storage };
      for (const opset of [21, 14]) {
        const one = await prepared(kind, { opset });
        const treated = one.treater.treat(treatment);
        const { placement, elements } = treated.result.weights[0]!.stored.decode;
        const remarks = treated.result.remarks.join("; ");
        const label = `${kind.name} ${levels} ${opset}: ${remarks}`;
        expect(elements.kind === "integers" && elements.dataType === DataType.INT4, label).toBe(
          levels === 15 && opset === 21,
        );
        if (opset === 21) expect(placement.kind, label).toBe("dequantize");
        if (placement.kind !== "dequantize") {
          expect(remarks).toMatch(
            /nodes that fold .* needs opset 21 for its scales and the model has opset 14/,
          );
          folds.push(`${kind.name} ${levels}`);
        } else {
          expect(remarks.includes("int4 is stored as int8"), label).toBe(levels === 15 && opset === 14);
        }
        await compared(one, treated, { feeds, opset, both: true });
      }
    }
  }
  expect(folds).toContain("W of a bidirectional LSTM 255");
  expect(folds).toContain("a Gemm 15");
  expect(folds).not.toContain("a grouped Conv 255");
});

test("the same treatment gives the same bytes, whatever was treated before", async () => {
  for (const kind of [KINDS[0]!, KINDS[6]!, lstm(1, 8, 16)]) {
    const [first, second] = [await prepared(kind), await prepared(kind)];
    const treatments = treatmentsOf(first.treater.target);
    const bytes = new Map<string, Uint8Array>();
    for (const treatment of treatments) {
      bytes.set(
        JSON.stringify(treatment),
        await wholeOf(encodeResult(first.treater.treat(treatment).result)),
      );
    }
    for (const treatment of treatments.toReversed()) {
      const key = JSON.stringify(treatment);
      expect(await wholeOf(encodeResult(second.treater.treat(treatment).result)), key).toEqual(
        bytes.get(key),
      );
    }
  }
});
