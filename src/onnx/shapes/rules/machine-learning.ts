import { DataType } from "../../data-type.ts";
import type { AttributeValue } from "../../model.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleContext, RuleTable } from "../rule.ts";
import { sameAsFirst } from "./elementwise.ts";

function listLength(value: AttributeValue | undefined): number | null {
  return value && "value" in value && Array.isArray(value.value) ? value.value.length : null;
}

const labelEncoder: Rule = (c) => {
  if (c.attribute("values_int64s")) return [tensor(DataType.INT64, c.dims(0))];
  if (c.attribute("values_floats")) return [tensor(DataType.FLOAT, c.dims(0))];
  if (c.attribute("values_strings")) return [tensor(DataType.STRING, c.dims(0))];
  const values = c.tensorAttribute("values_tensor");
  return [tensor(values?.dataType ?? DataType.UNDEFINED, c.dims(0))];
};

const arrayFeatureExtractor: Rule = (c) => {
  const x = c.dims(0);
  const picked = c.dims(1)?.at(-1) ?? null;
  if (!x) return [tensor(c.type(0), null)];
  return [tensor(c.type(0), x.length === 1 ? [1, picked] : [...x.slice(0, -1), picked])];
};

function scores(width: (c: RuleContext) => number | null): Rule {
  return (c) => [tensor(DataType.FLOAT, [c.dims(0)?.[0] ?? null, width(c)])];
}

const treeEnsemble: Rule = (c) => [tensor(c.type(0), [c.dims(0)?.[0] ?? null, c.int("n_targets") ?? null])];

function classifier(classes: (c: RuleContext) => number | null): Rule {
  return (c) => {
    const rows = c.dims(0)?.[0] ?? null;
    const labels = c.attribute("classlabels_strings") ? DataType.STRING : DataType.INT64;
    return [tensor(labels, [rows]), tensor(DataType.FLOAT, [rows, classes(c)])];
  };
}

function classCount(c: RuleContext): number | null {
  return (
    listLength(c.attribute("classlabels_strings")) ??
    listLength(c.attribute("classlabels_int64s")) ??
    listLength(c.attribute("classlabels_ints"))
  );
}

/** Classical models (ai.onnx.ml). */
export const machineLearningRules: RuleTable = {
  ArrayFeatureExtractor: arrayFeatureExtractor,
  Binarizer: sameAsFirst,
  Imputer: sameAsFirst,
  Normalizer: (c) => [tensor(DataType.FLOAT, c.dims(0))],
  Scaler: (c) => [tensor(DataType.FLOAT, c.dims(0))],
  LabelEncoder: labelEncoder,
  LinearRegressor: scores((c) => c.int("targets", 1)),
  LinearClassifier: classifier(classCount),
  SVMClassifier: classifier(classCount),
  SVMRegressor: scores(() => 1),
  TreeEnsembleClassifier: classifier(classCount),
  TreeEnsembleRegressor: scores((c) => c.int("n_targets", 1)),
  TreeEnsemble: treeEnsemble,
};
