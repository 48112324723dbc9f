import { DataType } from "../../data-type.ts";
import type { Dim } from "../../model.ts";
import { axisOf } from "../dims.ts";
import type { Fact } from "../facts.ts";
import { common, tensor, UNKNOWN, withoutElements } from "../facts.ts";
import type { Rule, RuleTable } from "../rule.ts";

/** Rounds of a Loop's body until the shapes of its state settle; then they are taken as unknown. */
const ROUNDS = 3;

/**
 * Both branches are inferred, for their layers' sake. A known condition decides whose outputs count; where it
 * depends on data, a branch that does not fit the input shapes cannot be the one that runs.
 */
const branch: Rule = (c) => {
  const first = c.body("then_branch", []);
  const second = c.body("else_branch", []);
  if (!first || !second) return [];
  const condition = c.elements(0)?.[0];
  const only =
    typeof condition === "number"
      ? condition !== 0
        ? first
        : second
      : first.consistent === second.consistent
        ? null
        : first.consistent
          ? first
          : second;
  if (!only) return first.outputs.map((fact, i) => common(fact, second.outputs[i] ?? UNKNOWN));
  (only === first ? second : first).forget();
  return only.outputs;
};

/** Runs the body's inference until the facts of the carried state no longer change. */
function settle(
  initial: readonly (Fact | undefined)[],
  run: (state: readonly Fact[]) => readonly Fact[] | null,
): { state: readonly Fact[]; outputs: readonly Fact[] } | null {
  let state = initial.map((fact) => withoutElements(fact ?? UNKNOWN));
  for (let round = 0; ; round++) {
    const outputs = run(state);
    if (!outputs) return null;
    const next = state.map((fact, i) => common(fact, withoutElements(outputs[i] ?? UNKNOWN)));
    if (JSON.stringify(next) === JSON.stringify(state)) return { state, outputs };
    state = round < ROUNDS ? next : state.map(() => UNKNOWN);
    if (round > ROUNDS) return { state, outputs: outputs.map(() => UNKNOWN) };
  }
}

/** The condition that a Loop's body sees: true, or it would not run. */
const RUNNING: Fact = { kind: "tensor", dataType: DataType.BOOL, dims: [], elements: [1] };

/** Inputs (trip count, condition, state…), body (iteration, condition, state…) → (condition, state…, scans…). */
const loop: Rule = (c) => {
  const initial = Array.from({ length: Math.max(0, c.inputCount - 2) }, (_, i) => c.fact(i + 2));
  let keepsGoing = false;
  const settled = settle(initial, (state) => {
    const iteration = tensor(DataType.INT64, []);
    const body = c.body("body", [iteration, RUNNING, ...state]);
    if (!body) return null;
    const [condition, ...rest] = body.outputs;
    keepsGoing = condition?.kind === "tensor" && condition.elements?.[0] === 1;
    return rest;
  });
  if (!settled) return [];
  const trips = c.has(0) ? (c.elements(0)?.[0] ?? null) : null;
  const start = c.has(1) ? c.elements(1)?.[0] : 1;
  const count: Dim = start === 0 ? 0 : start === 1 && keepsGoing && trips !== null ? trips : null;
  const states = settled.state.map((fact, i) => {
    const given = initial[i];
    return count === 0 && given ? given : fact;
  });
  const scans = settled.outputs.slice(initial.length).map((fact) => stacked(fact, count, 0));
  return [...states, ...scans];
};

/** What a scan output becomes: one entry per iteration along a new axis. */
function stacked(fact: Fact, count: Dim, axis: number): Fact {
  if (fact.kind !== "tensor" || !fact.dims) return UNKNOWN;
  const at = axisOf(axis, fact.dims.length + 1) ?? 0;
  return tensor(fact.dataType, [...fact.dims.slice(0, at), count, ...fact.dims.slice(at)]);
}

/** Inputs (state…, scanned…); opset 8 has sequence lengths first and a batch axis in front of everything. */
const scan: Rule = (c) => {
  const scanned = c.int("num_scan_inputs", 0);
  const first = c.opset < 9 ? 1 : 0;
  const lead = c.opset < 9 ? 1 : 0;
  const states = Math.max(0, c.inputCount - first - scanned);
  const inputAxes = c.ints("scan_input_axes") ?? [];
  const outputAxes = c.ints("scan_output_axes") ?? [];
  let length: Dim = null;
  let batch: Dim = null;
  const slices = Array.from({ length: Math.max(0, c.inputCount - first - states) }, (_, i) => {
    const given = c.tensor(first + states + i);
    if (!given.dims) return tensor(given.dataType, null);
    const rest = given.dims.slice(lead);
    const axis = axisOf(inputAxes[i] ?? 0, rest.length);
    if (lead) batch = given.dims[0] ?? batch;
    if (axis !== null && rest[axis] !== null) length = rest[axis] ?? length;
    return tensor(
      given.dataType,
      rest.filter((_, at) => at !== axis),
    );
  });
  const initial = Array.from({ length: states }, (_, i) => {
    const fact = c.fact(first + i);
    return lead && fact?.kind === "tensor" ? tensor(fact.dataType, fact.dims?.slice(1) ?? null) : fact;
  });
  const settled = settle(initial, (state) => c.body("body", [...state, ...slices])?.outputs ?? null);
  if (!settled) return [];
  const batched = (fact: Fact): Fact =>
    lead && fact.kind === "tensor" && fact.dims ? tensor(fact.dataType, [batch, ...fact.dims]) : fact;
  return [
    ...settled.state.map(batched),
    ...settled.outputs.slice(states).map((fact, i) => batched(stacked(fact, length, outputAxes[i] ?? 0))),
  ];
};

/** Control flow, by inferring the subgraphs. */
export const controlRules: RuleTable = { If: branch, Loop: loop, Scan: scan };
