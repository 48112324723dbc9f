import { DataType } from "../../data-type.ts";
import type { Dim } from "../../model.ts";
import { addDims, axisOf } from "../dims.ts";
import type { Dims, Fact } from "../facts.ts";
import { common, isStatic, tensor, UNKNOWN } from "../facts.ts";
import type { Rule, RuleContext, RuleTable } from "../rule.ts";

function elementOf(fact: Fact | undefined): Fact {
  if (fact?.kind === "optional") return elementOf(fact.element);
  return fact?.kind === "sequence" ? fact.element : UNKNOWN;
}

function lengthOf(fact: Fact | undefined): Dim {
  return fact?.kind === "sequence" ? fact.length : null;
}

const construct: Rule = (c) => {
  const facts = Array.from({ length: c.inputCount }, (_, i): Fact => c.tensor(i));
  return [{ kind: "sequence", element: facts.reduce(common, facts[0] ?? UNKNOWN), length: facts.length }];
};

const insert: Rule = (c) => {
  const length = lengthOf(c.fact(0));
  const element = length === 0 ? c.tensor(1) : common(elementOf(c.fact(0)), c.tensor(1));
  return [{ kind: "sequence", element, length: addDims(length, 1) }];
};

const erase: Rule = (c) => [
  { kind: "sequence", element: elementOf(c.fact(0)), length: addDims(lengthOf(c.fact(0)), -1) },
];

const concatFromSequence: Rule = (c) => {
  const element = elementOf(c.fact(0));
  if (element.kind !== "tensor" || !element.dims) return [];
  const added = c.int("new_axis", 0) !== 0;
  const rank = element.dims.length + (added ? 1 : 0);
  const axis = axisOf(c.int("axis", 0), rank);
  if (axis === null) return [];
  if (added) {
    const dims = [...element.dims.slice(0, axis), lengthOf(c.fact(0)), ...element.dims.slice(axis)];
    return [tensor(element.dataType, dims)];
  }
  return [
    tensor(
      element.dataType,
      element.dims.map((dim, at) => (at === axis ? null : dim)),
    ),
  ];
};

const splitToSequence: Rule = (c) => {
  const data = c.tensor(0);
  const axis = data.dims && axisOf(c.int("axis", 0), data.dims.length);
  if (!data.dims || axis === null) return [{ kind: "sequence", element: UNKNOWN, length: null }];
  const { size, length } = pieces(c, data.dims[axis] ?? null);
  const drop = !c.has(1) && c.int("keepdims", 1) === 0;
  const dims: Dims = data.dims.flatMap((dim, at) => (at === axis ? (drop ? [] : [size]) : [dim]));
  return [{ kind: "sequence", element: tensor(data.dataType, dims), length }];
};

/** Size of each piece (null where they differ) and their number. */
function pieces(c: RuleContext, whole: Dim): { size: Dim; length: Dim } {
  if (!c.has(1)) return { size: 1, length: whole };
  const sizes = c.elements(1);
  if (!sizes || !isStatic(sizes)) return { size: null, length: c.length(1) };
  const [size = null] = sizes;
  if (c.dims(1)?.length === 0) {
    const exact = typeof whole === "number" && size ? whole % size === 0 : false;
    const length = typeof whole === "number" && size ? Math.ceil(whole / size) : null;
    return { size: exact ? size : null, length };
  }
  return { size: sizes.every((other) => other === size) ? size : null, length: sizes.length };
}

/** The body runs on elements; further inputs are sequences (element by element) or tensors (as they are). */
const map: Rule = (c) => {
  const inputs = Array.from({ length: c.inputCount }, (_, i) => {
    const fact = c.fact(i);
    return fact?.kind === "sequence" ? fact.element : fact;
  });
  const length = lengthOf(c.fact(0));
  return (c.body("body", inputs)?.outputs ?? []).map((element) => ({ kind: "sequence", element, length }));
};

const optional: Rule = (c) => (c.has(0) ? [{ kind: "optional", element: c.fact(0) ?? UNKNOWN }] : []);

const getElement: Rule = (c) => {
  const fact = c.fact(0);
  return [fact?.kind === "optional" ? fact.element : fact];
};

/** Sequences and optionals. */
export const sequenceRules: RuleTable = {
  SequenceConstruct: construct,
  SequenceEmpty: (c) => [
    { kind: "sequence", element: tensor(c.int("dtype", DataType.FLOAT), null), length: 0 },
  ],
  SequenceInsert: insert,
  SequenceErase: erase,
  SequenceAt: (c) => [elementOf(c.fact(0))],
  SequenceLength: () => [tensor(DataType.INT64, [])],
  ConcatFromSequence: concatFromSequence,
  SplitToSequence: splitToSequence,
  SequenceMap: map,
  Optional: optional,
  OptionalGetElement: getElement,
  OptionalHasElement: () => [tensor(DataType.BOOL, [])],
};
