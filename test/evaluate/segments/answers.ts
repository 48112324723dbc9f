import { executable } from "../../../src/evaluate/segments/executable.ts";
import { atMost, type Scratch } from "../../../src/evaluate/segments/execution.ts";
import { SegmentPlan } from "../../../src/evaluate/segments/segment-plan.ts";
import type { Model } from "../../../src/onnx/model.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { inOrder } from "../../../src/onnx/validate.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import type { Feeds } from "../../../src/runtime/runtime.ts";
import type { RealModel } from "../../models/registry.ts";

/** What a model answers in so much memory, and in how many segments. */
export async function answersOf(
  model: Model,
  feeds: readonly Feeds[],
  memory: number,
  scratch: Scratch | null = null,
): Promise<{ answers: Feeds[]; segments: number; parted: number }> {
  const execution = { runtime: await nodeRuntime(), memory: atMost(memory), scratch };
  const plan = await SegmentPlan.of(model, feeds, execution);
  const session = await executable(model, execution).open(feeds);
  const answers: Feeds[] = [];
  for await (const answer of session.runAll(feeds)) answers.push(answer);
  await session.release();
  return { answers, segments: plan?.count ?? 1, parted: plan?.parted ?? 0 };
}

/** Every array as hexadecimal, so that NaN and -0 count and differences show. */
export function bitsOf(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    ArrayBuffer.isView(part)
      ? Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString("hex")
      : part,
  );
}

/** Puts bytes aside in memory, and tells what there is. */
export class MemoryScratch implements Scratch {
  readonly held = new Map<string, Uint8Array>();
  puts = 0;

  async put(bytes: Uint8Array): Promise<string> {
    const key = `${this.puts++}`;
    this.held.set(key, bytes.slice());
    return key;
  }

  async get(key: string): Promise<Uint8Array> {
    return this.held.get(key)!;
  }

  async drop(key: string): Promise<void> {
    this.held.delete(key);
  }
}

export async function opened(real: RealModel): Promise<{ model: Model; bytes: number }> {
  const bytes = await real.bytes();
  return { model: inOrder(await readModel(bytesSource(bytes))), bytes: bytes.byteLength };
}
