import { DataType } from "../../data-type.ts";
import { tensor } from "../facts.ts";
import type { Rule, RuleTable } from "../rule.ts";

const tfIdf: Rule = (c) => {
  const indexes = c.ints("ngram_indexes") ?? [];
  const width = indexes.reduce((most, index) => Math.max(most, index + 1), 0);
  const dims = c.dims(0);
  if (!dims) return [tensor(DataType.FLOAT, null)];
  return [tensor(DataType.FLOAT, [...dims.slice(0, -1), width])];
};

/** Stop words may go, so the number of strings is open where there are any. */
const normalizer: Rule = (c) => {
  const drops = c.attribute("stopwords") !== undefined;
  return [
    tensor(
      DataType.STRING,
      c.dims(0)?.map((dim, i, all) => (drops && i === all.length - 1 ? null : dim)) ?? null,
    ),
  ];
};

const split: Rule = (c) => {
  const dims = c.dims(0);
  return [tensor(DataType.STRING, dims && [...dims, null]), tensor(DataType.INT64, dims)];
};

/** Text. */
export const textRules: RuleTable = {
  TfIdfVectorizer: tfIdf,
  StringNormalizer: normalizer,
  StringSplit: split,
};
