import type { Dim } from "../../model.ts";
import { addDims, multiplyDims } from "../dims.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleTable } from "../rule.ts";
import { sameAsFirst } from "./elementwise.ts";

function quotient(dim: Dim, by: number): Dim {
  return typeof dim === "number" && by > 0 ? dim / by : by === 1 ? dim : null;
}

/**
 * Attention of opset 23: Q, K, V as [batch, heads, length, size], or [batch, length, heads·size] with the head
 * counts as attributes; mask, past K and past V → Y, present K, present V, the scores.
 */
const attention: Rule = (c) => {
  const [q, k, v] = [c.dims(0), c.dims(1), c.dims(2)];
  const type = c.type(0);
  if (!q || !k || !v) return [tensor(type, null)];
  const folded = q.length === 3;
  const queryHeads = folded ? c.int("q_num_heads", 1) : (q[1] ?? null);
  const keyHeads: Dim = folded ? c.int("kv_num_heads", 1) : (k[1] ?? null);
  const heads = typeof keyHeads === "number" ? keyHeads : 1;
  const length = (folded ? q[1] : q[2]) ?? null;
  const keySize = folded ? quotient(k[2] ?? null, heads) : (k[3] ?? null);
  const valueSize = folded ? quotient(v[2] ?? null, heads) : (v[3] ?? null);
  const fresh = (folded ? k[1] : k[2]) ?? null;
  const past = c.has(4) ? (c.dims(4)?.[2] ?? null) : 0;
  const total = addDims(fresh, past);
  const batch = q[0] ?? null;
  const y = folded
    ? [batch, length, multiplyDims(queryHeads, valueSize)]
    : [batch, queryHeads, length, valueSize];
  return [
    tensor(type, y),
    tensor(type, [batch, keyHeads, total, keySize]),
    tensor(type, [batch, keyHeads, total, valueSize]),
    tensor(type, [batch, queryHeads, length, total]),
  ];
};

/** Attention as one operator. */
export const attentionRules: RuleTable = { Attention: attention, RotaryEmbedding: sameAsFirst };
