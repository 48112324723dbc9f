import { DataType } from "../../data-type.ts";
import { axisOf } from "../dims.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleTable } from "../rule.ts";
import { sameAsFirst } from "./elementwise.ts";

/** In training, opset 14 also gives the running mean and variance, older ones the saved ones too. */
const batchNormalization: Rule = (c) => {
  const x = c.dims(0);
  const channels = tensor(c.type(3), c.dims(3) ?? (x ? [x[1] ?? null] : null));
  return [tensor(c.type(0), x), channels, channels, channels, channels];
};

/** Y, and the mean and inverse deviation over the axes from `axis` on, kept as 1. */
export const layerNormalization: Rule = (c) => {
  const x = c.dims(0);
  const axis = x && axisOf(c.int("axis", -1), x.length);
  const stash = tensor(
    c.int("stash_type", DataType.FLOAT),
    x && axis !== null ? x.map((dim, i) => (i < axis ? dim : 1)) : null,
  );
  return [tensor(c.type(0), x), stash, stash];
};

/** Normalisations. */
export const normalizationRules: RuleTable = {
  BatchNormalization: batchNormalization,
  InstanceNormalization: sameAsFirst,
  GroupNormalization: sameAsFirst,
  MeanVarianceNormalization: sameAsFirst,
  LRN: sameAsFirst,
  LayerNormalization: layerNormalization,
  RMSNormalization: layerNormalization,
  /** ONNX Runtime's name for it in the standard domain. */
  SimplifiedLayerNormalization: layerNormalization,
};
