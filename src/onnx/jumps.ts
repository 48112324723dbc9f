import type { Graph } from "./model.ts";

/** Operators whose results jump where their inputs change by next to nothing. */
const JUMPING = new Set([
  "ArgMax",
  "ArgMin",
  "Ceil",
  "Equal",
  "Floor",
  "Greater",
  "GreaterOrEqual",
  "Hardmax",
  "Less",
  "LessOrEqual",
  "NonMaxSuppression",
  "NonZero",
  "Round",
  "Sign",
  "TopK",
  "Unique",
]);
/** What they tell of a value is not its numbers. */
const OF_SHAPES = new Set(["Shape", "Size"]);

/**
 * Operators by which outputs of the graph jump when numbers inside change by next to nothing: comparisons, selections
 * and roundings of what the graph computes from its inputs. Bodies of If, Loop and Scan are not looked into.
 *
 * @returns their types for each output that has any, in alphabetical order
 */
export function jumpsOf({ nodes, inputs, outputs, initializers }: Graph): Map<string, string[]> {
  const constants = new Set(initializers.map(({ name }) => name));
  const jumps = new Map<string, ReadonlySet<string>>();
  for (const { name } of inputs) if (!constants.has(name)) jumps.set(name, new Set());
  // Nodes come after what they read; values that depend on no input are missing.
  for (const { opType, inputs: read, outputs: made } of nodes) {
    if (OF_SHAPES.has(opType)) continue;
    const before = read.map((name) => jumps.get(name)).filter((one) => one !== undefined);
    if (before.length === 0) continue;
    const own = new Set(before.flatMap((one) => [...one]));
    if (JUMPING.has(opType)) own.add(opType);
    for (const name of made) jumps.set(name, own);
  }
  const found = outputs.map(({ name }) => [name, [...(jumps.get(name) ?? [])].sort()] as const);
  return new Map(found.filter(([, types]) => types.length > 0).map(([name, types]) => [name, types]));
}
