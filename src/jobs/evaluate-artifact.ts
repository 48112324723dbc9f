import type { Fidelity, Latency } from "../../schemas/report.ts";
import { compareWith, latencyOf } from "../evaluate/evaluate.ts";
import type { ArtifactFacts } from "./assemble-artifact.ts";
import type { CalibrationFacts } from "./calibrate.ts";
import type { Blobs, JobHost } from "./job.ts";
import { readArtifact } from "./stored-model.ts";
import type { Workbench } from "./workbench.ts";

export type Evaluation = {
  readonly fidelity: Fidelity | null;
  readonly accuracy: { readonly original: number; readonly compressed: number } | null;
  readonly latency: Latency | null;
  readonly runtime: string;
  readonly warnings: readonly string[];
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

const IN_SEGMENTS =
  "latency is not measured: the model does not fit this host's memory and was run in segments, which takes longer than it does; " +
  "time both files where they are going to run";

/** Runs the artifact's own bytes against the upload's: fidelity, accuracy where there are labels, latency. */
export async function evaluateArtifact(context: Context): Promise<Evaluation> {
  const { calibration, artifact, bench, blobs, host } = context;
  const runtime = await host.runtime();
  if (!calibration.runs)
    return { fidelity: null, accuracy: null, latency: null, runtime: runtime.name, warnings: [] };
  const compressed = await bench.run(await readArtifact(blobs, artifact.key));
  const reference = await bench.reference();
  const { fidelity, accuracy } = await compareWith(reference, compressed);
  const upload = await bench.run(await bench.upload());
  const latency = await latencyOf(reference, upload, compressed, {
    now: () => host.now(),
    budget: LATENCY_BUDGET,
  });
  return {
    fidelity,
    accuracy,
    latency,
    runtime: runtime.name,
    warnings: latency === null ? [IN_SEGMENTS] : [],
  };
}
