import { DataType } from "../../data-type.ts";
import type { Dim } from "../../model.ts";
import { broadcast, contradict, unifyDims } from "../dims.ts";
import type { Dims } from "../facts.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleContext, RuleTable } from "../rule.ts";

/** numpy's matmul: batches broadcast, a vector is a row on the left and a column on the right. */
export function matmulDims(c: RuleContext, a: Dims | null, b: Dims | null): Dims | null {
  if (!a || !b || a.length === 0 || b.length === 0) return null;
  const inner = b.length === 1 ? b[0] : b.at(-2);
  if (contradict(a.at(-1), inner)) {
    c.contradiction(`${c.node.opType} multiplies inner sizes ${a.at(-1)} and ${inner}`);
  }
  const batch = broadcast([a.slice(0, -2), b.slice(0, -2)], () =>
    c.contradiction(`batches of ${c.node.opType} cannot be broadcast together`),
  );
  const rows = a.length > 1 ? [a.at(-2) ?? null] : [];
  const columns = b.length > 1 ? [b.at(-1) ?? null] : [];
  return [...(batch ?? []), ...rows, ...columns];
}

function matmul(left: number, right: number, type: (c: RuleContext) => number): Rule {
  return (c) => [tensor(type(c), matmulDims(c, c.dims(left), c.dims(right)))];
}

export const gemm: Rule = (c) => {
  const a = c.dims(0);
  const b = c.dims(1);
  const [transA, transB] = [c.int("transA", 0) !== 0, c.int("transB", 0) !== 0];
  if (contradict(a?.[transA ? 0 : 1], b?.[transB ? 1 : 0])) c.contradiction("Gemm's inner sizes differ");
  return [tensor(c.type(0), [a?.[transA ? 1 : 0] ?? null, b?.[transB ? 0 : 1] ?? null])];
};

const einsum: Rule = (c) => {
  const operands = Array.from({ length: c.inputCount }, (_, i) => c.dims(i));
  return [tensor(c.type(0), einsumDims(c.string("equation", ""), operands))];
};

/** Output shape of an Einsum equation, with "..." and implicit output; null when it cannot be told. */
export function einsumDims(equation: string, operands: readonly (Dims | null)[]): Dims | null {
  const [left = "", right] = equation.replaceAll(" ", "").split("->");
  const terms = left.split(",");
  if (terms.length !== operands.length) return null;
  const sizes = new Map<string, Dim>();
  const ellipses: Dims[] = [];
  for (const [i, term] of terms.entries()) {
    const dims = operands[i];
    if (!dims) return null;
    const [before = "", after] = term.split("...");
    const spare = dims.length - (before.length + (after?.length ?? 0));
    if (spare < 0 || (after === undefined && spare > 0)) return null;
    if (after !== undefined) ellipses.push(dims.slice(before.length, before.length + spare));
    const labels = [...before].map((label, at) => [label, dims[at] ?? null] as const);
    const tail = [...(after ?? "")].map(
      (label, at) => [label, dims[before.length + spare + at] ?? null] as const,
    );
    for (const [label, dim] of [...labels, ...tail]) {
      const known = sizes.get(label);
      sizes.set(label, known === undefined || known === 1 ? dim : dim === 1 ? known : unifyDims(known, dim));
    }
  }
  const batch = broadcast(ellipses, () => undefined) ?? [];
  const once = [...sizes.keys()].filter((label) => left.split(label).length === 2).sort();
  const output = right ?? `${left.includes("...") ? "..." : ""}${once.join("")}`;
  const [head = "", tail] = output.split("...");
  const look = (labels: string) => [...labels].map((label) => sizes.get(label) ?? null);
  return [...look(head), ...(tail === undefined ? [] : batch), ...look(tail ?? "")];
}

/** Products of matrices. */
export const matmulRules: RuleTable = {
  MatMul: matmul(0, 1, (c) => c.type(0)),
  MatMulInteger: matmul(0, 1, () => DataType.INT32),
  QLinearMatMul: matmul(0, 3, (c) => c.type(7)),
  Gemm: gemm,
  Einsum: einsum,
  Det: (c) => [tensor(c.type(0), c.dims(0)?.slice(0, -2) ?? null)],
};
