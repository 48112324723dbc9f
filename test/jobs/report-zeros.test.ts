import { expect, test } from "vitest";
import { Report } from "../../schemas/report.ts";
import { LocalHost } from "../../src/cli/local-host.ts";
import { runCompression } from "../../src/jobs/pipeline.ts";
import { linkTensors } from "../../src/onnx/linked.ts";
import { readModel } from "../../src/onnx/read.ts";
import { type ByteSource, bytesSource, wholeOf } from "../../src/onnx/source.ts";
import { readTensor, tensorOf } from "../../src/onnx/tensor.ts";
import { encodeModel, modelBytes } from "../../src/onnx/write.ts";
import { stackModel } from "./stack-model.ts";

const [LAYERS, WIDTH] = [3, 200];

/** A stack whose every layer has a row of zeros. */
async function withZeros(): Promise<Uint8Array> {
  const model = await readModel(bytesSource(await stackModel(LAYERS, WIDTH)));
  const initializers = await Promise.all(
    model.graph.initializers.map(async (tensor) => {
      const { dataType, dims, data } = await readTensor(tensor);
      return tensorOf(tensor.name, { dataType, dims, data: (data as Float32Array).fill(0, 0, WIDTH) });
    }),
  );
  return modelBytes({ ...model, graph: { ...model.graph, initializers } });
}

/** The model's graph as a file of its own, which names the whole model as the file of its weights. */
async function graphAlone(whole: Uint8Array): Promise<Uint8Array> {
  const model = await readModel(bytesSource(whole));
  return wholeOf(
    encodeModel(
      linkTensors(model, (span) => ({ location: "weights", span })),
      "named",
    ),
  );
}

test("the report's zeros are those of upload and artifact, and no weight is read again to count them", async () => {
  const whole = await withZeros();
  let reporting = false;
  let read = 0;
  const weights: ByteSource = {
    size: whole.byteLength,
    async read(offset, length) {
      if (reporting) read += length;
      return whole.subarray(offset, offset + length);
    },
  };
  const host = await LocalHost.create((step) => {
    reporting = step === "report";
  });
  try {
    host.blobs.mount("model", bytesSource(await graphAlone(whole)));
    host.blobs.mount("weights", weights);
    const { report: written } = await runCompression(
      {
        prefix: "job/",
        model: { key: "model", range: null, external: { weights: { key: "weights", range: null } } },
        modelSha256: "0".repeat(64),
        recipe: { sparsity: { ratio: 0.5, solver: "magnitude" } },
        calibration: null,
        mix: null,
        plan: {},
      },
      host,
    );
    const file = await host.blobs.open(written.key);
    const report = Report.parse(JSON.parse(new TextDecoder().decode(await file.read(0, file.size))));
    const numbers = LAYERS * WIDTH * WIDTH;
    expect(report.parameters.nonzero).toEqual({
      original: numbers - LAYERS * WIDTH,
      compressed: numbers / 2,
    });
    expect(reporting).toBe(true);
    expect(read).toBe(0);
  } finally {
    await host.dispose();
  }
});
