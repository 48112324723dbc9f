import { createHash } from "node:crypto";
import type { Recipe } from "../../schemas/recipe.ts";
import { Report } from "../../schemas/report.ts";
import { LocalHost } from "../../src/cli/local-host.ts";
import { atMost } from "../../src/evaluate/segments/execution.ts";
import { runCompression } from "../../src/jobs/pipeline.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { npy, npz } from "../evaluate/files.ts";

/** Samples as a caller uploads them: float arrays by input. */
export function samplesFile(feeds: Feeds): Uint8Array {
  return npz(
    Object.fromEntries(
      Object.entries(feeds).map(([name, { dims, data }]) => [name, npy("<f4", dims, data as Float32Array)]),
    ),
  );
}

/** A whole compression on this machine; `memory` is what a running model may take. */
export async function compressed(
  model: Uint8Array,
  recipe: Recipe,
  samples: Uint8Array | null = null,
  memory?: number,
): Promise<{ artifact: Uint8Array; report: Report }> {
  const host = await LocalHost.create(() => {}, memory === undefined ? undefined : atMost(memory));
  try {
    host.blobs.mount("model", bytesSource(model));
    if (samples) host.blobs.mount("samples", bytesSource(samples));
    const { artifact, report } = await runCompression(
      {
        prefix: "job/",
        model: { key: "model", range: null, external: {} },
        modelSha256: createHash("sha256").update(model).digest("hex"),
        recipe,
        calibration: samples && { key: "samples", format: "npz" },
        mix: null,
        plan: {},
      },
      host,
    );
    const read = async (key: string) => {
      const source = await host.blobs.open(key);
      return (await source.read(0, source.size)).slice();
    };
    return {
      artifact: await read(artifact.key),
      report: Report.parse(JSON.parse(new TextDecoder().decode(await read(report.key)))),
    };
  } finally {
    await host.dispose();
  }
}
