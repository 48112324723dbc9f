import type { Axis } from "../channels.ts";
import { type NodeAxes, opaque, type Rule, type RuleTable, says } from "../rule.ts";

/**
 * X […, input], W [directions, gates·hidden, input], R [directions, gates·hidden, hidden], B [directions,
 * 2·gates·hidden], lengths, initial_h and initial_c […, hidden], P [directions, 3·hidden]. A hidden unit goes from all
 * gates and, the directions being stored as one tensor, from all directions.
 */
const recurrent =
  (gates: number): Rule =>
  (node) => {
    const hidden = node.axis(2, 2);
    const reason = says(node.node, "has weights that cannot be followed");
    const { channels } = node;
    channels.tie(node.axis(0, 2), node.axis(1, 2), says(node.node, "reads an input that cannot be followed"));
    channels.fix(node.axis(0, 0), says(node.node, "runs along the channels"));
    channels.fix(node.axis(0, 1), says(node.node, "runs along the channels"));
    if (!hidden || !node.axis(1, 1)) {
      for (const input of [1, 2, 3, 5, 6, 7]) node.fix(reason, input);
      return [];
    }
    for (const [input, axis, blocks] of [
      [1, 1, gates],
      [2, 1, gates],
      [3, 1, 2 * gates],
      [5, 2, 1],
      [6, 2, 1],
      [7, 1, 3],
    ] as const) {
      if (node.has(input)) blocksOf(node, node.axis(input, axis), hidden, blocks, reason);
    }
    node.counts({ place: { attribute: "hidden_size" }, list: [hidden.length], entry: 0, axis: hidden });
    const y = opaque(4);
    y[3] = hidden;
    const state = opaque(3);
    state[2] = hidden;
    return [y, state, state];
  };

/** The axis holds `blocks` times the hidden units, one block after the other. */
function blocksOf(
  node: NodeAxes,
  axis: Axis | undefined,
  hidden: Int32Array,
  blocks: number,
  reason: string,
): void {
  if (!axis || axis.length !== blocks * hidden.length) {
    node.channels.fix(axis, reason);
    node.channels.fix(hidden, reason);
    return;
  }
  axis.forEach((channel, i) => {
    node.channels.join(channel, hidden[i % hidden.length]!);
  });
}

export const recurrentRules: RuleTable = { LSTM: recurrent(4), GRU: recurrent(3), RNN: recurrent(1) };
