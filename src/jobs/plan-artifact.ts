import { planModel } from "../partition/plan-model.ts";
import type { ArtifactFacts } from "./assemble-artifact.ts";
import type { Blobs, CompressionJob } from "./job.ts";
import { putBytes } from "./put-bytes.ts";
import { readStored } from "./workbench.ts";

interface Context {
  readonly job: CompressionJob;
  readonly artifact: ArtifactFacts;
  readonly blobs: Blobs;
}

/** How to split the artifact over the declared mix; null where none is declared. @throws MixError */
export async function planArtifact({ job, artifact, blobs }: Context): Promise<{ key: string } | null> {
  if (job.mix === null) return null;
  const plan = await planModel(await readStored(blobs, artifact.readableKey), job.mix, job.plan);
  const bytes = new TextEncoder().encode(JSON.stringify(plan));
  const key = `${job.prefix}plan.json`;
  await putBytes(blobs, key, bytes);
  return { key };
}
