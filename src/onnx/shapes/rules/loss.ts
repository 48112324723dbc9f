import { tensor } from "../facts.ts";
import type { Rule, RuleTable } from "../rule.ts";

/** One loss for each sample and position unless it is reduced to a scalar; log probabilities on request. */
const loss: Rule = (c) => {
  const reduction = c.string("reduction", "mean");
  return [tensor(c.type(0), reduction === "none" ? c.dims(1) : []), tensor(c.type(0), c.dims(0))];
};

/** Losses. */
export const lossRules: RuleTable = { NegativeLogLikelihoodLoss: loss, SoftmaxCrossEntropyLoss: loss };
