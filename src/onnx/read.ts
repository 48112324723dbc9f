import { ModelError } from "./errors.ts";
import type { Model } from "./model.ts";
import { refuseOtherFormats } from "./other-formats.ts";
import { parseModel } from "./parse.ts";
import { loadSkeleton, type SkeletonLimits } from "./skeleton.ts";
import type { ByteSource } from "./source.ts";
import { Fields } from "./wire.ts";

export interface ReadOptions {
  /** Files of external tensor data, by their path relative to the model. */
  readonly external?: ReadonlyMap<string, ByteSource>;
  /** Accept tensors whose external file is missing (plans need no weights). */
  readonly allowMissingExternal?: boolean;
  readonly limits?: Partial<SkeletonLimits>;
}

const LIMITS: SkeletonLimits = { skeletonBytes: 64 * 1024 * 1024, items: 8_000_000 };

/**
 * Reads a model's skeleton by ranges of the source: everything but tensor payloads above 1 KiB, which become spans.
 * Checks the encoding only; {@link validateModel} checks the graph.
 * @throws ModelError saying what is wrong with the file.
 */
export async function readModel(source: ByteSource, options: ReadOptions = {}): Promise<Model> {
  if (source.size === 0) throw new ModelError("empty", "the file is empty; upload an ONNX model");
  await refuseOtherFormats(source);
  const limits = { ...LIMITS, ...options.limits };
  const skeleton = await loadSkeleton(source, limits);
  const tally = { items: limits.items, externalTensors: 0 };
  return parseModel(new Fields(skeleton, 0, source.size, tally, "the model"), {
    source: skeleton.source,
    external: options.external ?? new Map(),
    allowMissingExternal: options.allowMissingExternal ?? false,
  });
}
