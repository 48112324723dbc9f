import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { modelBytes } from "../../src/onnx/write.ts";
import { type KerasLayer, type KerasModel, kerasToOnnx } from "./keras-layers.ts";
import { packageBytes, ROOT } from "./shared.ts";

const CACHE = join(ROOT, "node_modules/.cache/hone");

interface TfjsJson {
  readonly modelTopology: {
    readonly model_config: { readonly config: { readonly layers: readonly KerasLayer[] } };
  };
  readonly weightsManifest: readonly {
    readonly paths: readonly string[];
    readonly weights: readonly TfjsWeight[];
  }[];
}

interface TfjsWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly quantization?: { readonly min: number; readonly scale: number; readonly dtype: "uint8" };
}

/** @upscalerjs/esrgan-medium x4 (a residual dense network): RGB 0..255 [N,3,h,w] → [N,3,4h,4w]. */
export function esrganBytes(): Promise<Uint8Array> {
  return cached("esrgan-medium-1.0.0-x4", async () => {
    const folder = "@upscalerjs/esrgan-medium/models/x4";
    const json: TfjsJson = JSON.parse(new TextDecoder().decode(await packageBytes(`${folder}/model.json`)));
    const bytes = await packageBytes(`${folder}/group1-shard1of1.bin`);
    return {
      name: "esrgan-medium-x4",
      layers: json.modelTopology.model_config.config.layers,
      weights: weightsOf(json, bytes),
      inputShape: ["N", 3, "h", "w"],
      outputShape: ["N", 3, "H", "W"],
    };
  });
}

/** nsfwjs inception_v3: RGB 0..1 [N,3,299,299] → 5 classes; base64 chunks of uint8-quantised weights. */
export function inceptionBytes(): Promise<Uint8Array> {
  return cached("nsfwjs-4.3.0-inception-v3", async () => {
    const require = createRequire(import.meta.url);
    const folder = join(ROOT, "node_modules/nsfwjs/dist/models/inception_v3");
    const json: TfjsJson = require(join(folder, "model.min.js"));
    const chunks = json.weightsManifest[0]!.paths.map((path) =>
      Buffer.from(require(join(folder, `${path}.min.js`)), "base64"),
    );
    return {
      name: "inception-v3",
      layers: json.modelTopology.model_config.config.layers,
      weights: weightsOf(json, Buffer.concat(chunks)),
      inputShape: ["N", 3, 299, 299],
      outputShape: ["N", 5],
    };
  });
}

function weightsOf(json: TfjsJson, bytes: Uint8Array): KerasModel["weights"] {
  const weights = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  let offset = 0;
  for (const { name, shape, quantization } of json.weightsManifest.flatMap((group) => group.weights)) {
    const count = shape.reduce((product, dim) => product * dim, 1);
    const stored = bytes.slice(offset, offset + count * (quantization ? 1 : 4));
    offset += stored.byteLength;
    const data = quantization
      ? Float32Array.from(stored, (level) => quantization.min + level * quantization.scale)
      : new Float32Array(stored.buffer, stored.byteOffset, count);
    weights.set(name, { shape, data });
  }
  if (offset !== bytes.byteLength) throw new Error(`weights take ${offset} of ${bytes.byteLength} bytes`);
  return weights;
}

/** Converts once and keeps the bytes under a key that changes with the converter's own source. */
async function cached(name: string, build: () => Promise<KerasModel>): Promise<Uint8Array> {
  const hash = createHash("sha256");
  for (const file of ["converted.ts", "keras-layers.ts"])
    hash.update(await readFile(join(import.meta.dirname, file)));
  const path = join(CACHE, `${name}-${hash.digest("hex").slice(0, 12)}.onnx`);
  try {
    return new Uint8Array(await readFile(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const bytes = await modelBytes(kerasToOnnx(await build()));
  await mkdir(CACHE, { recursive: true });
  // Several test processes may convert at once: each writes a file of its own, the last rename wins.
  await writeFile(`${path}.${process.pid}`, bytes);
  await rename(`${path}.${process.pid}`, path);
  return bytes;
}
