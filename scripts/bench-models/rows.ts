import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import type { Times } from "./latency.ts";
import type { Row } from "./one.ts";

/** A recipe under the name that the table gives it. */
export interface Case {
  readonly label: string;
  readonly recipe: object;
  readonly samples: "calibrated" | "data-free";
  /** Only these; all where nothing is said. */
  readonly models?: readonly string[];
}

/** A row, and what it was measured on. */
export interface MeasuredRow extends Row {
  /** Of everything that its figures depend on. */
  readonly engine: string;
  readonly commit: string;
  readonly recipe: object;
  readonly samples: string;
}

const ROOT = join(import.meta.dirname, "../..");
const ONE = join(import.meta.dirname, "one.ts");
const LATENCY = join(import.meta.dirname, "latency.ts");
const HOUR = 3_600_000;
const run = promisify(execFile);

/**
 * Rows that were measured, in `benchmarks/models`, a file a model: a table of hours can be interrupted, goes on where it
 * stopped, and is written anew without measuring anything. Artifacts lie in `.bench/artifacts`, which nobody commits.
 */
export class Rows {
  readonly #engine: string;
  readonly #commit: string;

  private constructor(engine: string, commit: string) {
    this.#engine = engine;
    this.#commit = commit;
  }

  static async open(): Promise<Rows> {
    await mkdir(folder("benchmarks/models"), { recursive: true });
    await mkdir(folder(".bench/artifacts"), { recursive: true });
    const { stdout } = await run("git", ["rev-parse", "--short", "HEAD"], { cwd: ROOT });
    return new Rows(await engineDigest(), stdout.trim());
  }

  /** What was last measured, of this engine or an older one. */
  async kept(model: string, { label }: Case): Promise<MeasuredRow | null> {
    return (await read(model))[label] ?? null;
  }

  /** Of this very engine: measured where it is not kept. */
  async measured(model: string, wanted: Case): Promise<MeasuredRow> {
    const before = await this.kept(model, wanted);
    if (before && this.#isCurrent(before, wanted)) return before;
    const { label, recipe, samples } = wanted;
    const args = [ONE, model, JSON.stringify(recipe), samples, this.artifact(model, wanted)];
    const { stdout } = await run(process.execPath, args, { timeout: HOUR, maxBuffer: 2 ** 26 });
    const row = {
      engine: this.#engine,
      commit: this.#commit,
      recipe,
      samples,
      ...(JSON.parse(stdout) as Row),
    };
    await keep(model, label, row);
    return row;
  }

  /** A kept row with its times taken again; null where row or artifact is missing. */
  async timed(model: string, wanted: Case): Promise<MeasuredRow | null> {
    const before = await this.kept(model, wanted);
    const artifact = this.artifact(model, wanted);
    const there = await access(artifact).then(
      () => true,
      () => false,
    );
    if (before === null || !there) return null;
    const { stdout } = await run(process.execPath, [LATENCY, model, artifact], { timeout: HOUR });
    const row = { ...before, ...(JSON.parse(stdout) as Times) };
    await keep(model, wanted.label, row);
    return row;
  }

  /** Where the artifact lies once it is measured here. */
  artifact(model: string, { recipe, samples }: Case): string {
    const name = createHash("sha256")
      .update(JSON.stringify([this.#engine, model, recipe, samples]))
      .digest("hex")
      .slice(0, 16);
    return folder(`.bench/artifacts/${model}-${name}.onnx`);
  }

  #isCurrent(row: MeasuredRow, { recipe, samples }: Case): boolean {
    return (
      row.engine === this.#engine &&
      row.samples === samples &&
      JSON.stringify(row.recipe) === JSON.stringify(recipe)
    );
  }
}

const folder = (path: string) => join(ROOT, path);
const fileOf = (model: string) => folder(`benchmarks/models/${model}.json`);

async function read(model: string): Promise<Record<string, MeasuredRow>> {
  const text = await readFile(fileOf(model), "utf8").catch(() => "{}");
  return JSON.parse(text) as Record<string, MeasuredRow>;
}

async function keep(model: string, label: string, row: MeasuredRow): Promise<void> {
  await writeFile(fileOf(model), `${JSON.stringify({ ...(await read(model)), [label]: row }, null, 2)}\n`);
}

/** Of every file of ours that measuring imports, and of the kernels. No mix is declared, so that planning does not count. */
async function engineDigest(): Promise<string> {
  const { metafile } = await build({
    entryPoints: [ONE],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    packages: "external",
  });
  const files = Object.keys(metafile.inputs).filter((file) => !PLANNING.test(file));
  const hash = createHash("sha256");
  for (const file of [...files, "src/kernels/wasm/kernels.wasm"].sort()) {
    hash.update(file).update(await readFile(folder(file)));
  }
  return hash.digest("hex").slice(0, 16);
}

const PLANNING = /^(src\/partition\/|schemas\/(mix|plan|accelerators)\.ts)/;
