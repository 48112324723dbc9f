import { describe, expect, test } from "vitest";
import type { Recipe } from "../../schemas/recipe.ts";
import type { Report } from "../../schemas/report.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { elementCount } from "../../src/onnx/tensor-value.ts";
import { type RealModel, realModel } from "../models/registry.ts";
import { compressed, samplesFile } from "./compressed.ts";

const resnet = realModel("resnet-mnist");
const vit = realModel("vit-mnist");
const missing = resnet.missing ?? vit.missing;
const reason = missing ? ` (skipped: ${missing})` : "";

interface Made {
  readonly artifact: Uint8Array;
  readonly report: Report;
  readonly model: Model;
  readonly r2: number;
}

async function made(upload: RealModel, recipe: Recipe): Promise<Made> {
  const { feeds } = await upload.labelled!.train(0, 48);
  const done = await compressed((await upload.bytes()).slice(), recipe, samplesFile(feeds));
  const model = await readModel(bytesSource(done.artifact));
  return { ...done, model, r2: done.report.fidelity!.min_r2! };
}

/** Numbers that the file stores, without the counts of its Tile nodes. */
function storedNumbers({ model }: Made): number {
  const numbers = model.graph.initializers.filter(({ dataType }) => dataType === DataType.FLOAT);
  return numbers.reduce((sum, { dims }) => sum + elementCount(dims), 0);
}

/** How often nodes read each kernel or matrix that more than one of them reads. */
function readersOfShared({ model: { graph } }: Made): number[] {
  return graph.initializers
    .filter(({ dataType, dims }) => dataType === DataType.FLOAT && dims.length > 1)
    .map(({ name }) => graph.nodes.filter(({ inputs }) => inputs.includes(name)).length)
    .filter((readers) => readers > 1);
}

describe.skipIf(missing !== null)(`one basis for the layers of a stage${reason}`, () => {
  test("resnet-mnist: 5 basis kernels for all convolutions of a size, fewer bytes, R² within 0.002, the same bytes again", async () => {
    const recipe = (share: "layer" | "stage"): Recipe => ({ kernel_sharing: { bases: 5, share } });
    const [own, shared] = [await made(resnet, recipe("layer")), await made(resnet, recipe("stage"))];
    const treated = ({ report }: Made) => report.layers.filter(({ method }) => method === "kernel_sharing");
    expect(treated(shared).length).toBe(treated(own).length);
    expect(readersOfShared(own)).toEqual([]);
    expect(readersOfShared(shared)).toEqual([4, 4]);
    // Of eight bases of 5 kernels two are left.
    expect(storedNumbers(own) - storedNumbers(shared)).toBe(6 * 45);
    expect(own.artifact.length - shared.artifact.length).toBeGreaterThan(6 * 45 * 4);
    expect(shared.report.parameters.total.compressed).toBe(storedNumbers(shared));
    expect(shared.report.macs!.compressed).toBe(own.report.macs!.compressed);
    expect(shared.r2).toBeGreaterThan(own.r2 - 0.002);
    expect((await made(resnet, recipe("stage"))).artifact).toEqual(shared.artifact);
  });

  test("vit-mnist: the same matrix of all blocks, with more R² in fewer bytes than with right factors of their own", async () => {
    const own = await made(vit, { low_rank: { rank: 16, share: "layer" } });
    const shared = await made(vit, { low_rank: { rank: 22, share: "stage" } });
    expect(readersOfShared(shared)).toEqual([3, 3, 3, 3]);
    const counted = ({ report }: Made) => report.parameters.total.compressed;
    expect(counted(own) - counted(shared)).toBe(storedNumbers(own) - storedNumbers(shared));
    expect(shared.artifact.length).toBeLessThan(own.artifact.length);
    expect(shared.r2).toBeGreaterThan(own.r2 + 0.02);
  });

  test("in integers, the shared factor too, is stored and decoded once", async () => {
    for (const storage of ["folded", "dequantize_linear"] as const) {
      const recipe = (share: "layer" | "stage"): Recipe => ({
        low_rank: { rank: 24, share },
        quantization: { weights: "int8", storage },
      });
      const [own, shared] = [await made(vit, recipe("layer")), await made(vit, recipe("stage"))];
      expect(shared.artifact.length).toBeLessThan(0.85 * own.artifact.length);
      expect(shared.r2).toBeGreaterThan(0.97);
      const sum = shared.report.layers.reduce((total, { bytes }) => total + bytes.compressed, 0);
      expect(sum).toBeLessThan(shared.artifact.length);
    }
  });

  test("in a search: as many layers as the target needs, and every number counted once", async () => {
    const recipe: Recipe = {
      target: { size_ratio: 0.55 },
      methods: ["low_rank"],
      low_rank: { rank: 24, share: "stage" },
    };
    const found = await made(vit, recipe);
    const all = await made(vit, { low_rank: { rank: 24, share: "stage" } });
    expect(found.artifact.length).toBeLessThanOrEqual(0.55 * found.report.bytes.original);
    expect(readersOfShared(found).length).toBeGreaterThan(0);
    expect(found.r2).toBeGreaterThan(all.r2);
    const counted = ({ report }: Made) => report.parameters.total.compressed;
    expect(counted(found) - counted(all)).toBe(storedNumbers(found) - storedNumbers(all));
  });
});
