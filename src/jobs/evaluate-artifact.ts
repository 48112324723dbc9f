import type { Fidelity, Latency } from "../../schemas/report.ts";
import { compareWith, latencyOf } from "../evaluate/evaluate.ts";
import { modelBytes } from "../onnx/write.ts";
import type { ArtifactFacts } from "./assemble-artifact.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import type { Blobs, JobHost } from "./job.ts";
import type { Workbench } from "./workbench.ts";

export type Evaluation = {
  readonly fidelity: Fidelity | null;
  readonly accuracy: { readonly original: number; readonly compressed: number } | null;
  readonly latency: Latency | null;
  readonly runtime: string;
};

interface Context {
  readonly calibration: CalibrationFacts;
  readonly artifact: ArtifactFacts;
  readonly bench: Workbench;
  readonly blobs: Blobs;
  readonly host: JobHost;
}

/** Milliseconds that the latency measurement may take. */
const LATENCY_BUDGET = 8000;

/** Runs the artifact's own bytes against the upload's: fidelity, accuracy where there are labels, latency. */
export async function evaluateArtifact(context: Context): Promise<Evaluation> {
  const { calibration, artifact, bench, blobs, host } = context;
  const runtime = await host.runtime();
  if (!calibration.runs) return { fidelity: null, accuracy: null, latency: null, runtime: runtime.name };
  const source = await blobs.open(artifact.key);
  const compressed = await source.read(0, source.size);
  const reference = await bench.reference();
  const { fidelity, accuracy } = await compareWith(reference, runtime, compressed);
  const upload = await modelBytes(await bench.upload());
  const latency = await latencyOf(reference, runtime, upload, compressed, {
    now: () => host.now(),
    budget: LATENCY_BUDGET,
  });
  return { fidelity, accuracy, latency, runtime: runtime.name };
}
