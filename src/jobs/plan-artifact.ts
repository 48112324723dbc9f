import { networkForModel } from "../partition/network.ts";
import { planNetwork } from "../partition/plan.ts";
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
  const network = await networkForModel(await readStored(blobs, artifact.readableKey), job.plan.batch);
  const bytes = new TextEncoder().encode(JSON.stringify(planNetwork(network, job.mix, job.plan)));
  const key = `${job.prefix}plan.json`;
  await putBytes(blobs, key, bytes);
  return { key };
}
