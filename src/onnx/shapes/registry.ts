import type { Rule, RuleTable } from "./rule.ts";
import { attentionRules } from "./rules/attention.ts";
import { controlRules } from "./rules/control.ts";
import { convolutionRules } from "./rules/convolution.ts";
import { elementwiseRules } from "./rules/elementwise.ts";
import { generationRules } from "./rules/generation.ts";
import { indexingRules } from "./rules/indexing.ts";
import { lossRules } from "./rules/loss.ts";
import { machineLearningRules } from "./rules/machine-learning.ts";
import { matmulRules } from "./rules/matmul.ts";
import { microsoftRules } from "./rules/microsoft.ts";
import { movementRules } from "./rules/movement.ts";
import { normalizationRules } from "./rules/normalization.ts";
import { quantizationRules } from "./rules/quantization.ts";
import { recurrentRules } from "./rules/recurrent.ts";
import { reductionRules } from "./rules/reduction.ts";
import { resizeRules } from "./rules/resize.ts";
import { sequenceRules } from "./rules/sequence.ts";
import { signalRules } from "./rules/signal.ts";
import { textRules } from "./rules/text.ts";
import { trainingRules } from "./rules/training.ts";

const DOMAINS: Readonly<Record<string, readonly RuleTable[]>> = {
  "": [
    attentionRules,
    controlRules,
    convolutionRules,
    elementwiseRules,
    generationRules,
    indexingRules,
    lossRules,
    matmulRules,
    movementRules,
    normalizationRules,
    quantizationRules,
    recurrentRules,
    reductionRules,
    resizeRules,
    sequenceRules,
    signalRules,
    textRules,
  ],
  "ai.onnx.preview.training": [trainingRules],
  "ai.onnx.ml": [machineLearningRules],
  "com.microsoft": [microsoftRules],
};

const RULES: ReadonlyMap<string, Rule> = register();

function register(): Map<string, Rule> {
  const rules = new Map<string, Rule>();
  for (const [domain, tables] of Object.entries(DOMAINS)) {
    for (const [opType, rule] of tables.flatMap((table) => Object.entries(table))) {
      const key = `${domain}:${opType}`;
      if (rules.has(key)) throw new Error(`two shape rules for ${key}`);
      rules.set(key, rule);
    }
  }
  return rules;
}

/** The standard domain has two spellings. */
export function canonicalDomain(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

/** The rule of an operator, or undefined when its outputs cannot be told. */
export function ruleFor(domain: string, opType: string): Rule | undefined {
  return RULES.get(`${canonicalDomain(domain)}:${opType}`);
}
