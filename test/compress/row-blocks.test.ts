import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { joinResults } from "../../src/compress/blocks/join-results.ts";
import { factsOfBlock, rowBlocksOf } from "../../src/compress/blocks/row-blocks.ts";
import { RowReader } from "../../src/compress/blocks/row-reader.ts";
import type { LayerFacts } from "../../src/compress/layer-facts.ts";
import { fromMatrices, toMatrices } from "../../src/compress/layer-matrix.ts";
import { readBias } from "../../src/compress/layer-of-model.ts";
import { LayerTreater } from "../../src/compress/layer-treater.ts";
import { decodeResult, encodeResult } from "../../src/compress/result-file.ts";
import type { TreatedLayer } from "../../src/compress/treated-layer.ts";
import type { Treatment } from "../../src/compress/treatment.ts";
import { bytesSource, wholeOf } from "../../src/onnx/source.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { compared, kernels, type Prepared, prepared, slowError } from "./layer-treater-check.ts";
import { feedsOf, KINDS, OPSET, treatmentsOf } from "./one-layer.ts";

/** All treatments of the layer's own form, a block of rows at a time. */
async function byBlocks(one: Prepared, treatment: Treatment, opset: number): Promise<TreatedLayer | null> {
  const { layer, treater, moments } = one;
  const { facts } = treater;
  const cut = rowBlocksOf(facts, 16, elementCount(facts.dims) / 3);
  const reader = cut && RowReader.of(layer, facts, cut, 200);
  if (!reader) return null;
  const { rows, columns } = facts.layout!;
  const bias = await readBias(layer);
  const blocks = [];
  const effective = new Float32Array(elementCount(facts.dims));
  const biases: number[] = [];
  const embedding = layer.uses[0]!.geometry.kind === "embedding";
  for (const block of cut!.blocks) {
    const at = block.matrix * rows + block.first;
    const own = new LayerTreater({
      facts: factsOfBlock(facts, cut!.axis, block),
      weight: (await reader.read(block))!,
      nonzero: null,
      bias: bias?.slice(at, at + block.rows) ?? null,
      moments: moments && !embedding ? [moments(columns, block.matrix)] : null,
      kernels,
      opset,
      globalRatio: null,
    });
    const treated = own.treat(treatment);
    const result = await decodeResult(bytesSource(await wholeOf(encodeResult(treated.result))));
    blocks.push({ result, candidate: treated.candidate, energies: own.energies });
    effective.set(toMatrices(own.facts.layout!, treated.effective), at * columns);
    biases.push(...(treated.bias ?? []));
  }
  const joined = joinResults(facts, cut!, blocks, opset);
  const result = await decodeResult(bytesSource(await wholeOf(encodeResult(joined.result))));
  return {
    result,
    candidate: joined.candidate,
    effective: fromMatrices(facts.layout!, effective),
    bias: biases.length > 0 ? Float32Array.from(biases) : null,
  };
}

/** Rows do not lie along one axis of their weight, or lie in several of its matrices. */
const WHOLE = [
  "a ConvTranspose",
  "a grouped ConvTranspose",
  "a MatMul of a batch",
  "W of a bidirectional LSTM",
];

describe("a weight that is treated in blocks of rows computes to 1e-5 what the blocks' dense weights compute", () => {
  for (const kind of KINDS) {
    test(kind.name, async () => {
      for (const opset of [OPSET, 21]) {
        const one = await prepared(kind, { opset });
        const own = treatmentsOf(one.treater.target).filter(({ form }) => form === null);
        for (const treatment of own) {
          const treated = await byBlocks(one, treatment, opset);
          if (treated === null) {
            expect(WHOLE).toContain(kind.name);
            return;
          }
          await compared(one, treated, { feeds: feedsOf(kind), opset });
          const { stats, weights } = treated.result;
          const error = slowError(one, treated);
          const which = JSON.stringify(treatment);
          expect(Math.abs(stats.layerError - error), which).toBeLessThanOrEqual(1e-4 * error + 1e-8);
          expect(stats.parameters.original).toBe(elementCount(kind.weight));
          // With a scale for each row, rows know nothing of each other: int8 of the blocks is int8 of the whole.
          const { storage, sparsity } = treatment;
          const apart = storage?.kind === "integers" && storage.levels > 31 && storage.group === null;
          if (!apart || sparsity !== null || storage.decode !== "dequantize_linear") continue;
          const whole = one.treater.treat(treatment);
          const again = await decodeResult(bytesSource(await wholeOf(encodeResult(whole.result))));
          if (again.weights[0]!.stored.decode.placement.kind !== "dequantize") continue;
          expect(weights[0]!.stored.decode, which).toEqual(again.weights[0]!.stored.decode);
          expect(treated.effective, which).toEqual(whole.effective);
        }
      }
    });
  }
});

test("blocks cover every row once, in multiples of four, and are no larger than asked for by four rows", () => {
  const shape = fc.record({
    count: fc.integer({ min: 1, max: 4 }),
    rows: fc.integer({ min: 1, max: 3000 }),
    columns: fc.integer({ min: 1, max: 300 }),
    blockElements: fc.integer({ min: 1, max: 100_000 }),
  });
  fc.assert(
    fc.property(shape, ({ count, rows, columns, blockElements }) => {
      const facts = {
        dims: [count * rows, columns],
        layout: { count, rows, columns, transposed: false },
      } as unknown as LayerFacts;
      const cut = rowBlocksOf(facts, 0, blockElements);
      if (cut === null) {
        expect(count === 1 && (rows <= 4 || rows * columns < blockElements + 4 * columns)).toBe(true);
        return;
      }
      let next = 0;
      for (const [i, { matrix, first, rows: own }] of cut.blocks.entries()) {
        expect(matrix * rows + first).toBe(next);
        expect(own).toBeGreaterThan(0);
        expect(first + own).toBeLessThanOrEqual(rows);
        if (first + own < rows) expect(own % 4, `block ${i}`).toBe(0);
        expect(own * columns).toBeLessThan(Math.max(blockElements, columns) + 4 * columns);
        next += own;
      }
      expect(next).toBe(count * rows);
    }),
  );
});
