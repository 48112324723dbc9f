import { intAttribute } from "../../../onnx/edit.ts";
import type { Dim } from "../../../onnx/model.ts";
import { type Axes, type Axis, MAX_AXIS } from "../channels.ts";
import { type NodeAxes, type Rule, type RuleTable, says } from "../rule.ts";

/** Axes [inFrom, inTo) of the input become axes [outFrom, outTo) of the output, with the same elements. */
interface Block {
  readonly inFrom: number;
  readonly inTo: number;
  readonly outFrom: number;
  readonly outTo: number;
}

const reshape: Rule = (node) => {
  const x = node.axes(0);
  const [from, to] = [node.dims(0), node.outputDims(0)];
  if (!x || !from || !to) {
    node.fix(says(node.node, "has shapes that are not known"), 0);
    return [];
  }
  if (x.every((axis) => node.channels.isFixed(axis))) return [to.map(() => null)];
  const target = targetOf(node, from, to);
  if (!target) {
    node.fix(says(node.node, "has a shape that is computed"), 0);
    return [to.map(() => null)];
  }
  const output: Axis[] = to.map(() => null);
  for (const block of blocksOf(from, to)) {
    const { inFrom, inTo, outFrom, outTo } = block;
    const axes = x.slice(inFrom, inTo);
    if (axes.every((axis) => node.channels.isFixed(axis))) continue;
    passBlock(node, axes, from.slice(inFrom, inTo), to.slice(outFrom, outTo)).forEach((axis, i) => {
      output[outFrom + i] = axis;
    });
  }
  output.forEach((axis, entry) => {
    if (!axis) return;
    const counted = (target.list[entry] ?? 0) > 0;
    if (counted || target.computed) {
      node.counts({ place: { input: 1 }, list: target.list, entry: counted ? entry : null, axis });
    }
  });
  return [output];
};

/**
 * The target as numbers: a stored one as it is; a computed one written out anew, if 0 (as in the input) and one -1
 * say all that is not known or that callers may choose.
 */
export function targetOf(
  node: NodeAxes,
  from: readonly Dim[],
  to: readonly Dim[],
): { list: readonly number[]; computed: boolean } | null {
  if (node.isStored(1)) {
    const list = node.numbers(1);
    return list && { list, computed: false };
  }
  if (intAttribute(node.node, "allowzero", 0) !== 0) return null;
  const entries = node.constantEntries(1) ?? [];
  let same = 0;
  while (same < from.length && same < to.length && from[same] !== null && from[same] === to[same]) same++;
  const list = to.map((_, axis) => (axis < same ? 0 : (entries[axis] ?? -1)));
  if (list.filter((entry) => entry === -1).length > 1) return null;
  return { list, computed: true };
}

/** The finest blocks that can be told, from the front and, past what is not known, from the back. */
function blocksOf(from: readonly Dim[], to: readonly Dim[]): Block[] {
  const front = matched(from, to);
  const last = front.at(-1);
  const [inDone, outDone] = [last?.inTo ?? 0, last?.outTo ?? 0];
  const restFrom = from.slice(inDone);
  const restTo = to.slice(outDone);
  if (restFrom.length === 0) return front;
  const back = matched(restFrom.toReversed(), restTo.toReversed()).map(
    (block): Block => ({
      inFrom: from.length - block.inTo,
      inTo: from.length - block.inFrom,
      outFrom: to.length - block.outTo,
      outTo: to.length - block.outFrom,
    }),
  );
  const first = back.at(-1);
  const middle = {
    inFrom: inDone,
    inTo: first?.inFrom ?? from.length,
    outFrom: outDone,
    outTo: first?.outFrom ?? to.length,
  };
  return [...front, middle, ...back.toReversed()];
}

function matched(from: readonly Dim[], to: readonly Dim[]): Block[] {
  const blocks: Block[] = [];
  let [i, j] = [0, 0];
  while (i < from.length && j < to.length) {
    const [inFrom, outFrom] = [i, j];
    const [a, b] = [from[i++], to[j++]];
    if (a === null || b === null) break;
    if (a !== b) {
      if (typeof a !== "number" || typeof b !== "number") break;
      let [left, right] = [a, b];
      let known = true;
      while (left !== right && known) {
        const next = left < right ? from[i++] : to[j++];
        known = typeof next === "number" && next > 0;
        if (!known) break;
        if (left < right) left *= next as number;
        else right *= next as number;
      }
      if (!known) break;
    }
    blocks.push({ inFrom, inTo: i, outFrom, outTo: j });
  }
  const last = blocks.at(-1);
  if (!last) return blocks;
  // Axes of size 1 at the end belong to the last block.
  const rest = [...from.slice(last.inTo), ...to.slice(last.outTo)];
  if (rest.every((dim) => dim === 1)) {
    blocks[blocks.length - 1] = { ...last, inTo: from.length, outTo: to.length };
  }
  return blocks;
}

/** Axes within one block: they pass, are merged into one, or one is split. */
function passBlock(node: NodeAxes, axes: readonly Axis[], from: readonly Dim[], to: readonly Dim[]): Axis[] {
  const none: Axis[] = to.map(() => null);
  const wide = to.flatMap((dim, at) => (dim === 1 ? [] : [at]));
  const wideIn = from.flatMap((dim, at) => (dim === 1 ? [] : [at]));
  if (wideIn.length <= 1) {
    const axis = axes[wideIn[0] ?? 0] ?? null;
    if (wide.length === 1) none[wide[0]!] = axis;
    else if (axis && wide.length > 1) splitAxis(node, axis, to, wide, none);
    else node.channels.fix(axis, says(node.node, "reshapes the channels"));
    return none;
  }
  if (wide.length === 1) {
    none[wide[0]!] = mergedAxes(node, axes, from);
    return none;
  }
  for (const axis of axes) node.channels.fix(axis, says(node.node, "mixes channels with other axes"));
  return none;
}

/** Several axes as one, of which one alone is followed. */
export function mergedAxes(node: NodeAxes, axes: readonly Axis[], dims: readonly Dim[]): Axis {
  const reason = says(node.node, "merges the channels with another axis");
  const chosen = axes.findIndex((axis) => !node.channels.isFixed(axis));
  axes.forEach((axis, at) => {
    if (at !== chosen) node.channels.fix(axis, reason);
  });
  const axis = axes[chosen];
  if (!axis) return null;
  const size = (from: number, to: number) =>
    dims.slice(from, to).reduce<number>((product, dim) => product * (typeof dim === "number" ? dim : NaN), 1);
  const [outer, inner] = [size(0, chosen), size(chosen + 1, dims.length)];
  const merges = outer * inner * axis.length;
  if (!Number.isSafeInteger(merges) || merges === 0 || merges > MAX_AXIS) {
    node.channels.fix(axis, says(node.node, "merges the channels with an axis of unknown or vast size"));
    return null;
  }
  const merged = new Int32Array(outer * axis.length * inner);
  for (let i = 0; i < merged.length; i++) merged[i] = axis[Math.floor(i / inner) % axis.length]!;
  return merged;
}

/** One axis as several, of which one is chosen: what has the same index there goes together. */
function splitAxis(
  node: NodeAxes,
  axis: Int32Array,
  to: readonly Dim[],
  wide: readonly number[],
  output: Axis[],
): void {
  const sizes = to.map((dim) => (typeof dim === "number" ? dim : Number.NaN));
  if (sizes.reduce((product, size) => product * size, 1) !== axis.length) {
    node.channels.fix(axis, says(node.node, "splits the channels into axes of unknown size"));
    return;
  }
  let picked = -1;
  const chosen = node.choose(wide, (candidate) => {
    picked = candidate;
    const size = sizes[candidate]!;
    const inner = sizes.slice(candidate + 1).reduce((product, one) => product * one, 1);
    const first = new Int32Array(size);
    for (let i = axis.length - 1; i >= 0; i--) first[Math.floor(i / inner) % size] = axis[i]!;
    for (let i = 0; i < axis.length; i++) {
      node.channels.join(axis[i]!, first[Math.floor(i / inner) % size]!);
    }
    return first;
  });
  output[picked] = chosen;
}

const flatten: Rule = (node) => {
  const [x, dims] = [node.axes(0), node.dims(0)];
  if (!x || !dims) {
    node.fix(says(node.node, "has shapes that are not known"));
    return [];
  }
  const given = intAttribute(node.node, "axis", 1);
  const at = given < 0 ? given + x.length : given;
  const part = (from: number, to: number) => mergedAxes(node, x.slice(from, to), dims.slice(from, to));
  const output: Axes = [part(0, at), part(at, x.length)];
  return [output];
};

export const reshapeRules: RuleTable = { Reshape: reshape, Flatten: flatten };
