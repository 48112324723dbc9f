import type { Plan } from "../../schemas/plan.ts";
import type { Report } from "../../schemas/report.ts";
import { digestOf } from "../jobs/digest.ts";
import type { CompressionJob, StoredFile } from "../jobs/job.ts";
import { runCompression } from "../jobs/pipeline.ts";
import { inspectModel } from "../onnx/inspect.ts";
import { readModel } from "../onnx/read.ts";
import { chunksOf } from "../onnx/source.ts";
import { validateModel } from "../onnx/validate.ts";
import { planModel } from "../partition/plan-model.ts";
import type { Compressed, CompressRequest, Engine } from "./engine.ts";
import { openFile } from "./file-source.ts";
import { LocalHost } from "./local-host.ts";
import { type OpenedModel, openModel } from "./open-model.ts";
import { withGraph } from "./with-graph.ts";
import { writeArtifact } from "./write-artifact.ts";

const MODEL_KEY = "input/model";
const CALIBRATION_KEY = "input/calibration";

/** The engine in this process. */
export const localEngine: Engine = {
  async compress(request, onProgress) {
    const host = await LocalHost.create(onProgress);
    try {
      return await compress(request, host);
    } finally {
      await host.dispose();
    }
  },

  plan: ({ model, mix, options }) => withGraph(model, (graph) => planModel(graph, mix, options)),

  inspect: (model) =>
    withModel(model, async (opened) => {
      const read = await readModel(opened.main, { external: opened.external });
      validateModel(read);
      return inspectModel(read);
    }),
};

async function compress(request: CompressRequest, host: LocalHost): Promise<Compressed> {
  return withModel(request.model, async (opened) => {
    const job: CompressionJob = {
      prefix: "jobs/local/",
      model: mountModel(opened, host),
      modelSha256: await digestOf(opened.main),
      recipe: request.recipe,
      calibration: null,
      mix: request.mix,
      plan: request.plan,
    };
    if (request.calibration === null) return run(job, request.output, host);
    const samples = await openFile(request.calibration.path);
    try {
      host.blobs.mount(CALIBRATION_KEY, samples);
      return await run(
        { ...job, calibration: { key: CALIBRATION_KEY, format: request.calibration.format } },
        request.output,
        host,
      );
    } finally {
      await samples.close();
    }
  });
}

async function run(job: CompressionJob, output: string, host: LocalHost): Promise<Compressed> {
  const { artifact, report, plan } = await runCompression(job, host);
  const read = async <T>(key: string): Promise<T> => {
    const source = await host.blobs.open(key);
    return JSON.parse(new TextDecoder().decode(await source.read(0, source.size)));
  };
  const compressed = {
    artifact: { path: output, bytes: artifact.bytes, sha256: artifact.sha256 },
    report: await read<Report>(report.key),
    plan: plan ? await read<Plan>(plan.key) : null,
  };
  await writeArtifact(output, chunksOf(await host.blobs.open(artifact.key)));
  return compressed;
}

function mountModel(opened: OpenedModel, host: LocalHost): CompressionJob["model"] {
  host.blobs.mount(MODEL_KEY, opened.main);
  const external: Record<string, StoredFile> = {};
  for (const [location, source] of opened.external) {
    const key = `input/external/${location}`;
    host.blobs.mount(key, source);
    external[location] = { key, range: null };
  }
  return { key: MODEL_KEY, range: null, external };
}

async function withModel<T>(path: string, use: (opened: OpenedModel) => Promise<T>): Promise<T> {
  const opened = await openModel(path);
  try {
    return await use(opened);
  } finally {
    await opened.close();
  }
}
