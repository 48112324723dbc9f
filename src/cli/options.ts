import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { z } from "zod";
import type { Mix } from "../../schemas/mix.ts";
import { CostModel, Mode, Objective, PlanOptions, Serving } from "../../schemas/plan.ts";
import { Method, Recipe } from "../../schemas/recipe.ts";
import { checkMix, parseMix } from "../partition/mix.ts";
import { UsageError } from "./errors.ts";
import { reason } from "./file-source.ts";

/** Flags that make up a recipe; they win over the recipe file. */
export interface RecipeFlags {
  readonly recipe?: string;
  readonly sizeRatio?: number;
  readonly maxBytes?: number;
  readonly macsRatio?: number;
  readonly latencyRatio?: number;
  readonly minFidelity?: number;
  readonly methods?: string[];
  readonly sparsity?: number;
  readonly scope?: "layer" | "global";
  readonly bases?: number | "auto";
}

export interface PlanFlags {
  readonly mix?: string;
  readonly mode?: "training" | "inference";
  readonly batch?: number;
  readonly objective?: "time" | "energy" | "cost";
  readonly costModel?: "hone" | "accpar";
  readonly serving?: "latency" | "throughput";
}

export interface ServerFlags {
  readonly api?: string;
}

export function addRecipeOptions(command: Command): Command {
  return command
    .option("--recipe <file>", "recipe as JSON (a file, or the JSON itself)")
    .option("--size-ratio <r>", "artifact bytes over upload bytes, at most", number)
    .option("--max-bytes <n>", "artifact bytes, at most", number)
    .option("--macs-ratio <r>", "multiply-accumulates, after over before, at most", number)
    .option("--latency-ratio <r>", "latency, after over before, at most", number)
    .option("--min-fidelity <r2>", "least R² allowed on any output", number)
    .option("--methods <list>", `comma-separated, of ${Method.options.join(", ")}; "" for none`, list)
    .option("--sparsity <ratio>", "share of the weights to set to zero", number)
    .addOption(new Option("--scope <scope>", "what the sparsity ratio holds in").choices(["layer", "global"]))
    .option("--bases <n>", "kernel sharing: basis kernels a layer, or auto", numberOrAuto);
}

export function addPlanOptions(command: Command): Command {
  return command
    .addOption(new Option("--mode <mode>", "what is planned").choices(Mode.options))
    .option("--batch <n>", "samples a step", number)
    .addOption(new Option("--objective <what>", "what is made least").choices(Objective.options))
    .addOption(new Option("--serving <what>", "what inference is planned for").choices(Serving.options))
    .addOption(new Option("--cost-model <model>", "how costs are counted").choices(CostModel.options));
}

export function addServerOption(command: Command): Command {
  return command.addOption(
    new Option("--api <url>", "send the work to this server (its key in HONE_API_KEY)").env("HONE_API_URL"),
  );
}

/** @throws UsageError that names the field which is wrong. */
export async function recipeFrom(flags: RecipeFlags): Promise<Recipe> {
  const file = flags.recipe === undefined ? {} : await jsonFrom("recipe", flags.recipe);
  const base = check(Recipe, file, "recipe");
  const target = defined({
    size_ratio: flags.sizeRatio,
    max_bytes: flags.maxBytes,
    macs_ratio: flags.macsRatio,
    latency_ratio: flags.latencyRatio,
    min_fidelity: flags.minFidelity,
  });
  const sparsity = defined({ ratio: flags.sparsity, scope: flags.scope });
  const sharing = defined({ bases: flags.bases });
  const merged = {
    ...base,
    ...(target && { target: { ...base.target, ...target } }),
    ...(flags.methods && { methods: flags.methods }),
    ...(sparsity && { sparsity: { ...base.sparsity, ...sparsity } }),
    ...(sharing && { kernel_sharing: { ...base.kernel_sharing, ...sharing } }),
  };
  return check(Recipe, merged, "recipe");
}

/** `tpu-v3:128,tpu-v2:128`, a JSON file, or the JSON itself. @throws UsageError or MixError */
export async function mixFrom(text: string): Promise<Mix> {
  const json = /^\s*\[/.test(text) || /\.json$/i.test(text);
  return json ? checkMix(await jsonFrom("mix", text)) : parseMix(text);
}

/** Sample inputs: a file, and its format by its name. */
export interface SamplesFile {
  readonly path: string;
  readonly format: "npz" | "npy" | "safetensors";
}

/** @throws UsageError for any other name. */
export function samplesFile(path: string): SamplesFile {
  const format = /\.(npz|npy|safetensors)$/i.exec(path)?.[1]?.toLowerCase();
  if (format === "npz" || format === "npy" || format === "safetensors") return { path, format };
  throw new UsageError(`${path} is no calibration file: .npz, .npy and .safetensors are read`);
}

export function planOptionsFrom(flags: PlanFlags): PlanOptions {
  const options = defined({
    mode: flags.mode,
    batch: flags.batch,
    objective: flags.objective,
    cost_model: flags.costModel,
    serving: flags.serving,
  });
  return check(PlanOptions, options ?? {}, "plan");
}

/** Validates what the user gave. @throws UsageError with the first wrong field. */
function check<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.slice(0, 3).map(({ path, message }) => {
    const where = path.map(String).join(".");
    return where ? `${where}: ${message}` : message;
  });
  throw new UsageError(`${what}: ${issues.join("; ")}`);
}

async function jsonFrom(what: string, given: string): Promise<unknown> {
  const inline = /^\s*[[{]/.test(given);
  const text = inline
    ? given
    : await readFile(given, "utf8").catch((error: unknown) => {
        throw new UsageError(`${what}: cannot read ${given}: ${reason(error)}`);
      });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${what}: ${inline ? "this" : given} is no JSON: ${reason(error)}`);
  }
}

/** Without the fields that are undefined; null when none is left. */
function defined<T extends object>(fields: T): Partial<T> | null {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return entries.length > 0 ? (Object.fromEntries(entries) as Partial<T>) : null;
}

/** Parses a flag that takes a number. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("a number is needed.");
  return value;
}

function numberOrAuto(text: string): number | "auto" {
  return text === "auto" ? "auto" : number(text);
}

function list(text: string): string[] {
  return text === "" ? [] : text.split(",").map((item) => item.trim());
}
