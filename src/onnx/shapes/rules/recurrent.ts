import { contradict } from "../dims.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleTable } from "../rule.ts";

/**
 * LSTM, GRU and RNN: X [sequence, batch, input], R [directions, gates·hidden, hidden] →
 * Y [sequence, directions, batch, hidden], Y_h and Y_c [directions, batch, hidden].
 * With layout 1 (opset 14) the batch comes first in all of them.
 */
const recurrent: Rule = (c) => {
  const x = c.dims(0);
  const batchFirst = c.int("layout", 0) === 1;
  const directions = c.string("direction", "forward") === "bidirectional" ? 2 : 1;
  const hidden = c.int("hidden_size") ?? c.dims(2)?.[2] ?? null;
  if (contradict(x?.[2], c.dims(1)?.[2])) c.contradiction(`${c.node.opType}'s weight does not fit its input`);
  const sequence = x?.[batchFirst ? 1 : 0] ?? null;
  const batch = x?.[batchFirst ? 0 : 1] ?? null;
  if (contradict(c.dims(5)?.[batchFirst ? 0 : 1], batch)) {
    c.contradiction(`${c.node.opType}'s initial state is of another batch than its input`);
  }
  const y = batchFirst ? [batch, sequence, directions, hidden] : [sequence, directions, batch, hidden];
  const state = tensor(c.type(0), batchFirst ? [batch, directions, hidden] : [directions, batch, hidden]);
  return [tensor(c.type(0), y), state, state];
};

/** Recurrent layers. */
export const recurrentRules: RuleTable = { LSTM: recurrent, GRU: recurrent, RNN: recurrent };
