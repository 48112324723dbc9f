import { openAsBlob } from "node:fs";
import { basename } from "node:path";
import { Hone } from "../client/hone.ts";
import type { UploadFile } from "../client/upload-parts.ts";
import type { Engine } from "./engine.ts";
import { FailedError, UsageError } from "./errors.ts";
import { openFile } from "./file-source.ts";
import { isArchive, openModel } from "./open-model.ts";
import { writeArtifact } from "./write-artifact.ts";

/** A server does the work. @throws UsageError when the address is no URL or the key is missing. */
export function remoteEngine(baseUrl: string, apiKey: string | undefined): Engine {
  if (!URL.canParse(baseUrl)) throw new UsageError(`--api: ${baseUrl} is no URL`);
  if (!apiKey) throw new UsageError("--api needs a key in HONE_API_KEY (`hone serve` prints one)");
  const hone = new Hone({ apiKey, baseUrl });

  const upload = async (path: string) =>
    hone.models.upload(await uploadable(path), { name: basename(path).slice(0, 256) });

  return {
    async compress(request, onProgress) {
      onProgress("upload", 0);
      const model = await upload(request.model);
      const calibration = request.calibration
        ? await hone.calibrations.upload(await blobOf(request.calibration.path))
        : null;
      const { id } = await hone.compressions.create({
        model: model.id,
        recipe: request.recipe,
        ...(calibration && { calibration: calibration.id }),
        ...(request.mix && { mix: request.mix }),
        plan: request.plan,
      });
      const job = await hone.compressions.wait(id, {
        onProgress: ({ step, status, progress }) => onProgress(step ?? status, progress),
      });
      if (job.status !== "succeeded" || !job.artifact) {
        throw new FailedError(job.error?.code ?? job.status, job.error?.message ?? `${id} was ${job.status}`);
      }
      await writeArtifact(request.output, (await hone.compressions.artifact(id)).stream());
      return {
        artifact: { path: request.output, bytes: job.artifact.bytes, sha256: job.artifact.sha256 },
        report: await hone.compressions.report(id),
        plan: request.mix ? await hone.compressions.plan(id) : null,
      };
    },

    async plan({ model, mix, options }) {
      const id = model.startsWith("zoo:") ? model : (await upload(model)).id;
      return hone.plans.create({ model: id, mix, ...options });
    },

    async inspect(model) {
      const {
        id: _id,
        object: _object,
        name: _name,
        sha256: _sha,
        created_at: _at,
        ...summary
      } = await upload(model);
      return summary;
    },
  };
}

/** What to send for a model: the file as it is, or it and the files of its external data. */
export async function uploadable(path: string): Promise<Blob | UploadFile[]> {
  if (isArchive(path)) return blobOf(path);
  const { externalPaths, close } = await openModel(path);
  await close();
  if (externalPaths.size === 0) return blobOf(path);
  const files: UploadFile[] = [{ path: basename(path), content: await blobOf(path) }];
  for (const [location, at] of externalPaths) files.push({ path: location, content: await blobOf(at) });
  return files;
}

async function blobOf(path: string): Promise<Blob> {
  // For its message, when the file is not there.
  await (await openFile(path)).close();
  return openAsBlob(path);
}
