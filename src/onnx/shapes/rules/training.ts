import type { Rule, RuleTable } from "../rule.ts";

/**
 * Optimisers of ai.onnx.preview.training: inputs (rate, step, X…, gradients…, state…) → (new X…, new state…),
 * with `states` tensors kept for each X.
 */
function optimizer(states: number): Rule {
  return (c) => {
    const count = Math.floor((c.inputCount - 2) / (2 + states));
    const updated = Array.from({ length: count }, (_, i) => c.fact(2 + i));
    const state = Array.from({ length: count * states }, (_, i) => c.fact(2 + 2 * count + i));
    return [...updated, ...state];
  };
}

/** Training steps. */
export const trainingRules: RuleTable = {
  Adagrad: optimizer(1),
  Momentum: optimizer(1),
  Adam: optimizer(2),
};
