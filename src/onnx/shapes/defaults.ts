import { tensorInputs } from "../inputs.ts";
import type { Dim, Model } from "../model.ts";
import { type InferOptions, shapeInference } from "./infer.ts";
import type { Shapes } from "./shapes.ts";

/** Shapes of a model whose open dimensions were given sizes. */
export interface DefaultShapes {
  readonly shapes: Shapes;
  /** Numeric shape of every graph input with a declared rank. */
  readonly inputShapes: Readonly<Record<string, readonly number[]>>;
  /** Sizes of the symbols. */
  readonly bindings: Readonly<Record<string, number>>;
}

/** An open dimension: a symbol, wherever it occurs, or one unnamed axis. */
interface Open {
  readonly key: string;
  readonly candidates: readonly number[];
}

/** Sizes to try, the usual one first; the next ones where shapes do not fit together with it. */
const BATCH = [1];
const IMAGE = [224, 256, 320, 512, 64, 32, 299];
const VOLUME = [64, 32, 96, 16];
const LENGTH = [128, 256, 512, 64, 16, 1, 2, 576, 1024, 4096, 16000];

const BATCH_NAME = /^(n|b|bs|.*batch.*)$/i;
const LENGTH_NAME = /seq|len|time|past|token|frame|step|sample/i;
/** A size that exporters write as the sum of two others. */
const SUM = /^(.+?) \+ (.+)$/;

/** Runs of inference at most; nearly every model needs a handful. */
const MAX_TRIALS = 96;
/** And nodes in all these runs, for models that are large and do not fit together with any sizes. */
const MAX_TRIED_NODES = 200_000;

/**
 * Infers shapes with every open input dimension set to a usual size: 1 for the first axis of an input and for
 * symbols with a batch's name, 224 for the maps of 4-D inputs (64 of 5-D ones), 128 for lengths. Where shapes
 * contradict each other with that (a Reshape that needs a multiple of 49 rows, a U-net that needs a multiple of
 * 64), other sizes are tried and the ones with the fewest contradictions are taken.
 *
 * @param fixed sizes that the caller knows; they are not changed.
 */
export async function inferDefaultShapes(model: Model, fixed: InferOptions = {}): Promise<DefaultShapes> {
  const infer = await shapeInference(model);
  const open = openDims(model, fixed);
  const sizes = new Map(open.map(({ key, candidates }) => [key, candidates[0] ?? 1]));
  let best = infer(optionsOf(model, sizes, fixed));
  let trials = Math.min(MAX_TRIALS, Math.ceil(MAX_TRIED_NODES / (1 + model.graph.nodes.length)));
  // Dimensions of one kind are first changed together (height and width), then one by one.
  const kinds = [...new Set(open.map(({ candidates }) => candidates))];
  const together = kinds.map((kind) => open.filter(({ candidates }) => candidates === kind));
  for (const group of [...together, ...open.map((one) => [one])]) {
    const multiples = [...new Set(best.warnings.flatMap(({ multipleOf }) => multipleOf ?? []))];
    for (const candidate of [...(group[0]?.candidates ?? []), ...multiples]) {
      if (best.warnings.length === 0 || trials-- <= 0) break;
      const changed = group.map(({ key }) => [key, candidate] as const);
      const shapes = infer(optionsOf(model, new Map([...sizes, ...changed]), fixed));
      if (shapes.warnings.length >= best.warnings.length) continue;
      best = shapes;
      for (const [key, size] of changed) sizes.set(key, size);
    }
  }
  const { inputShapes = {} } = optionsOf(model, sizes, fixed);
  const symbols = [...sizes].filter(([key]) => !key.includes("\0"));
  return { shapes: best, inputShapes, bindings: { ...Object.fromEntries(symbols), ...fixed.bindings } };
}

/** Unnamed axes have a key that no symbol has. */
function keyOf(input: string, axis: number, dim: Dim): string {
  return typeof dim === "string" ? dim : `${input}\0${axis}`;
}

function openDims(model: Model, fixed: InferOptions): Open[] {
  const open = new Map<string, Open>();
  for (const { name, shape } of tensorInputs(model)) {
    if (!shape || fixed.inputShapes?.[name]) continue;
    for (const [axis, dim] of shape.entries()) {
      const bound = typeof dim === "number" || (dim !== null && fixed.bindings?.[dim] !== undefined);
      const key = keyOf(name, axis, dim);
      if (bound || open.has(key)) continue;
      open.set(key, { key, candidates: candidatesFor(shape, axis) });
    }
  }
  return [...open.values()];
}

function candidatesFor(shape: readonly Dim[], axis: number): readonly number[] {
  const dim = shape[axis];
  if (axis === 0 || (typeof dim === "string" && BATCH_NAME.test(dim))) return BATCH;
  if (typeof dim === "string" && LENGTH_NAME.test(dim)) return LENGTH;
  if (shape.length === 4) return IMAGE;
  return shape.length === 5 ? VOLUME : LENGTH;
}

function sizeOf(key: string, sizes: ReadonlyMap<string, number>, fixed: InferOptions): number {
  const given = fixed.bindings?.[key];
  if (given !== undefined) return given;
  const [, left = "", right = ""] = SUM.exec(key) ?? [];
  const parts = [left, right].map(
    (part) => fixed.bindings?.[part] ?? sizes.get(part) ?? Number.parseInt(part, 10),
  );
  const sum = parts.reduce((a, b) => a + b, 0);
  return left && Number.isFinite(sum) ? sum : (sizes.get(key) ?? 1);
}

function optionsOf(model: Model, sizes: ReadonlyMap<string, number>, fixed: InferOptions): InferOptions {
  const inputShapes: Record<string, readonly number[]> = {};
  for (const { name, shape } of tensorInputs(model)) {
    const given = fixed.inputShapes?.[name];
    if (given) inputShapes[name] = given;
    else if (shape) {
      inputShapes[name] = shape.map((dim, axis) => {
        if (typeof dim === "number") return dim;
        return sizeOf(keyOf(name, axis, dim), sizes, fixed);
      });
    }
  }
  return { inputShapes, bindings: { ...fixed.bindings } };
}
