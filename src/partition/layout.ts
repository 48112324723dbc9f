/**
 * AccPar's three partition types (HPCA 2020, table 1), said as layouts.
 *
 * A cut divides one layer between two sides. A tensor that crosses it is split by batch ("B"), split by channel
 * ("C"), or whole on both sides ("R"). Each type fixes the layout that a layer needs of its input F_l and the one
 * in which it leaves its output F_{l+1}; the error tensors E have the same layouts. AccPar's table of costs
 * between layers (table 4) then follows from changing layouts, for forks and joins too: F from the producer's
 * output layout to the consumer's input layout, E the other way.
 */
export type Layout = "B" | "C" | "R";

/** 0, 1, 2: types I (batch), II (input channel), III (output channel). */
export type TypeIndex = 0 | 1 | 2;

export const TYPE_NAMES = ["I", "II", "III"] as const;

/** What one partition type does to a node of the network. */
export interface Way {
  readonly input: Layout;
  readonly output: Layout;
  /** Whether each side does its share of the work; false where both do all of it. */
  readonly splitsWork: boolean;
  readonly splitsInput: boolean;
  readonly splitsOutput: boolean;
  readonly splitsWeights: boolean;
  /** Partial sums that both sides exchange whole, by pass. */
  readonly forwardSum: "none" | "output";
  readonly backwardSum: "none" | "input";
  readonly gradientSum: "none" | "weights";
}

export type Ways = readonly [Way | null, Way | null, Way | null];

const batch: Way = {
  input: "B",
  output: "B",
  splitsWork: true,
  splitsInput: true,
  splitsOutput: true,
  splitsWeights: false,
  forwardSum: "none",
  backwardSum: "none",
  gradientSum: "weights",
};

const inputChannel: Way = {
  input: "C",
  output: "R",
  splitsWork: true,
  splitsInput: true,
  splitsOutput: false,
  splitsWeights: true,
  forwardSum: "output",
  backwardSum: "none",
  gradientSum: "none",
};

const outputChannel: Way = {
  input: "R",
  output: "C",
  splitsWork: true,
  splitsInput: false,
  splitsOutput: true,
  splitsWeights: true,
  forwardSum: "none",
  backwardSum: "input",
  gradientSum: "none",
};

const channels: Way = { ...outputChannel, input: "C", splitsInput: true, backwardSum: "none" };

/** Y = W X: all three types, as in the paper. */
export const DENSE_WAYS: Ways = [batch, inputChannel, outputChannel];

/** Grouped and depthwise convolution: whole groups move together, so that type III needs no sum. */
export const GROUPED_WAYS: Ways = [batch, null, channels];

/**
 * LSTM, GRU, RNN: splitting the hidden units means gathering the hidden state after every step, which moves the
 * whole output and leaves it on both sides.
 */
export const RECURRENT_WAYS: Ways = [
  batch,
  null,
  { ...outputChannel, output: "R", splitsOutput: false, forwardSum: "output" },
];

/** A table lookup: split by rows (II, partial sums) or by columns (III); indices have no gradient. */
export const EMBEDDING_WAYS: Ways = [
  batch,
  { ...inputChannel, input: "R", splitsInput: false },
  { ...outputChannel, backwardSum: "none" },
];

/**
 * Operators without weights where branches meet or part (Add, Concat, attention's products): by batch (I),
 * whole on both sides (II, whose output is whole as well) or by channel (III).
 */
export const JOIN_WAYS: Ways = [
  { ...batch, gradientSum: "none" },
  {
    ...batch,
    input: "R",
    output: "R",
    splitsWork: false,
    splitsInput: false,
    splitsOutput: false,
    gradientSum: "none",
  },
  { ...channels, splitsWeights: false },
];

/**
 * Parts of a tensor that the two sides receive when its layout changes from `from`, where side a holds share
 * `held`, to `to`, where it needs share `needed`. Equal shares α give AccPar's table: B→C and C→B αβ, B→R and
 * C→R β for a and α for b, from R nothing. The same layout with other shares moves the difference.
 */
export function received(from: Layout, to: Layout, held: number, needed: number): readonly [number, number] {
  if (from === "R") return NOTHING;
  if (to === "R") return [1 - held, held];
  if (from !== to) return [needed * (1 - held), (1 - needed) * held];
  return [Math.max(0, needed - held), Math.max(0, held - needed)];
}

const NOTHING: readonly [number, number] = [0, 0];
