import { ModelError } from "./errors.ts";
import { BLOB_BYTES, CONTENTS, type Content, type MessageName, WireType } from "./fields.ts";
import { type ByteSource, readInto } from "./source.ts";
import { Fields, MAX_HEADER_BYTES, type Run, type Runs, type Tally } from "./wire.ts";

export interface SkeletonLimits {
  /** Bytes of the file that are not tensor payloads. */
  readonly skeletonBytes: number;
  /** Fields and packed numbers. */
  readonly items: number;
}

/** The parts of a file that are not tensor payloads, in memory, addressed by their offsets in the file. */
export interface Skeleton extends Runs {
  /** The whole file; ranges inside the skeleton come from memory. */
  readonly source: ByteSource;
}

const FIRST_WINDOW = 64 * 1024;
const WINDOW_AFTER_JUMP = 4 * 1024;
const LARGEST_WINDOW = 256 * 1024;
/** A step of up to this many bytes past what is loaded counts as going straight on. */
const NEAR = 32 * 1024;

/**
 * Walks the field headers of a ModelProto and loads everything but large tensor payloads and large unknown fields,
 * in windows that grow while the walk goes straight on.
 * @throws ModelError when the encoding is damaged or a limit is passed.
 */
export async function loadSkeleton(source: ByteSource, limits: SkeletonLimits): Promise<Skeleton> {
  const loader = new Loader(source, limits.skeletonBytes);
  const tally: Tally = { items: limits.items, externalTensors: 0 };
  await loader.want(0, MAX_HEADER_BYTES);
  const stack: { fields: Fields; contents: Readonly<Record<number, Content>> }[] = [
    { fields: new Fields(loader, 0, source.size, tally, "the model"), contents: CONTENTS.model },
  ];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const { fields, contents } = top;
    if (fields.done) {
      stack.pop();
      continue;
    }
    if (!loader.holds(fields.end, MAX_HEADER_BYTES)) await loader.want(fields.end, MAX_HEADER_BYTES);
    fields.next();
    const length = fields.end - fields.start;
    if (fields.wireType !== WireType.BYTES || fields.length <= BLOB_BYTES) {
      if (!loader.holds(fields.start, length)) await loader.want(fields.start, length);
      continue;
    }
    const content = contents[fields.number] ?? "blob";
    if (content === "blob") loader.leaveOut(fields.payload, fields.end);
    else if (content === "inline") await loader.want(fields.start, length);
    else {
      // The child finds its run when it is constructed, so its first header has to be there.
      await loader.want(fields.payload, MAX_HEADER_BYTES);
      stack.push({ fields: fields.message(describe(content)), contents: CONTENTS[content] });
    }
  }
  return loader.finish();
}

function describe(content: Exclude<MessageName, "model">): string {
  return content === "sparse" ? "a sparse tensor" : content === "attribute" ? "an attribute" : `a ${content}`;
}

class Loader implements Runs {
  readonly fileSize: number;
  private readonly source: ByteSource;
  private readonly maxBytes: number;
  private readonly runs: Run[] = [];
  private current: { start: number; bytes: Uint8Array } = { start: 0, bytes: new Uint8Array(0) };
  /** Payloads inside the current run that the skeleton does not keep. */
  private gaps: { start: number; end: number }[] = [];
  private window = FIRST_WINDOW;
  private kept = 0;

  constructor(source: ByteSource, maxBytes: number) {
    this.source = source;
    this.fileSize = source.size;
    this.maxBytes = maxBytes;
  }

  runAt(): Run {
    return this.current;
  }

  /** Whether `want` would have nothing to do; awaiting it for each of a million fields would take its time. */
  holds(start: number, length: number): boolean {
    return Math.min(start + length, this.fileSize) <= this.current.start + this.current.bytes.length;
  }

  /** Makes the current run hold [start, start + length), or what of it the file has. */
  async want(start: number, length: number): Promise<void> {
    if (this.holds(start, length)) return;
    const end = Math.min(start + length, this.fileSize);
    const loadedEnd = this.current.start + this.current.bytes.length;
    const goesOn = start - loadedEnd <= NEAR;
    this.close(start);
    this.window = goesOn ? Math.min(this.window * 4, LARGEST_WINDOW) : WINDOW_AFTER_JUMP;
    if (this.kept === 0) this.window = FIRST_WINDOW;
    this.check(end - start);
    const bytes = await this.source.read(
      start,
      Math.min(Math.max(end - start, this.window), this.fileSize - start),
    );
    this.current = { start, bytes };
  }

  /** Says that a payload is not part of the skeleton. */
  leaveOut(start: number, end: number): void {
    this.gaps.push({ start, end });
  }

  finish(): Skeleton {
    this.close(this.fileSize);
    const runs = this.runs;
    const runAt = (offset: number): Run =>
      runs[indexAt(runs, offset)] ?? { start: offset, bytes: new Uint8Array(0) };
    const underlying = this.source;
    return {
      fileSize: this.fileSize,
      runAt,
      source: {
        size: this.fileSize,
        blob: underlying.blob,
        async read(offset, length) {
          const run = runs[indexAt(runs, offset)];
          if (run !== undefined && offset >= run.start && offset + length <= run.start + run.bytes.length) {
            return run.bytes.subarray(offset - run.start, offset - run.start + length);
          }
          return underlying.read(offset, length);
        },
        // Payloads, which are what is large, lie outside the runs.
        readInto: (offset, target) => readInto(underlying, offset, target),
      },
    };
  }

  /** Puts the current run, up to `end` and without its gaps, with the finished ones. */
  private close(end: number): void {
    const { start, bytes } = this.current;
    const stop = Math.min(end, start + bytes.length);
    // Without gaps the window itself is kept; otherwise copies, so that the payloads read over can be freed.
    const copy = this.gaps.length > 0;
    let from = start;
    for (const gap of [...this.gaps, { start: stop, end: stop }]) {
      const to = Math.min(gap.start, stop);
      if (to > from) {
        const kept = bytes.subarray(from - start, to - start);
        this.check(kept.length);
        this.kept += kept.length;
        this.runs.push({ start: from, bytes: copy ? kept.slice() : kept });
      }
      from = Math.max(from, gap.end);
    }
    this.gaps = [];
    // Whoever still holds this run looks for the next one from here on.
    this.current.bytes = bytes.subarray(0, Math.max(0, stop - start));
  }

  private check(more: number): void {
    if (this.kept + more > this.maxBytes) {
      throw new ModelError(
        "skeleton_too_large",
        `the model has more than ${this.maxBytes} bytes outside its tensors (long attributes, texts or string tensors); Hone reads those into memory and does not accept so many`,
      );
    }
  }
}

/** Index of the last run that starts at or before the offset; -1 when there is none. */
function indexAt(runs: readonly Run[], offset: number): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (runs[middle]!.start <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
