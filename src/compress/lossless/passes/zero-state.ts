import { tensorAttribute } from "../../../onnx/edit.ts";
import { constantValue, isStandard, NEWEST_OPSET, type Pass, type Rewriting } from "../pass.ts";
import type { Scope } from "../scope.ts";

/** Initial states of recurrent layers that are zero are left out: zero is what the layers start from anyway. */
export const zeroStates: Pass = {
  name: "zero-states",
  opsets: [7, NEWEST_OPSET],
  operators: ["LSTM", "GRU", "RNN"],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      if (!isStandard(node, "LSTM", "GRU", "RNN")) continue;
      const inputs = [...node.inputs];
      for (const state of [5, 6]) {
        if (inputs[state] && (await isZero(scope, rewriting, inputs[state]))) inputs[state] = "";
      }
      if (inputs.every((name, i) => name === node.inputs[i])) continue;
      scope.replace(index, { ...node, inputs });
      changes++;
    }
    return changes;
  },
};

/** Operators whose output holds nothing but entries of their first input. */
const MOVERS = [
  "Slice",
  "Reshape",
  "Squeeze",
  "Unsqueeze",
  "Flatten",
  "Transpose",
  "Expand",
  "Tile",
  "Gather",
  "Split",
  "Identity",
];

/** Nodes looked at before giving up. */
const MAX_STEPS = 64;

/** True when every entry of the value is 0, whatever its shape. */
async function isZero(scope: Scope, rewriting: Rewriting, name: string): Promise<boolean> {
  const open = [name];
  for (let steps = 0; open.length > 0; steps++) {
    const value = open.pop()!;
    if (steps >= MAX_STEPS) return false;
    if (scope.constant(value)) {
      const constant = await constantValue(scope, rewriting, value, 65536);
      if (!constant?.data.length || !allZero(constant.data)) return false;
      continue;
    }
    const maker = scope.producerNode(value);
    if (!maker) return false;
    if (isStandard(maker, "ConstantOfShape")) {
      const fill = tensorAttribute(maker, "value");
      const read = fill && (await rewriting.read(fill, 1));
      if (fill && (!read || !allZero(read.data))) return false;
    } else if (isStandard(maker, ...MOVERS)) open.push(maker.inputs[0]!);
    else if (isStandard(maker, "Concat")) open.push(...maker.inputs);
    else return false;
  }
  return true;
}

/** Also of half floats, whose zeros are the patterns 0 and (for −0) 0x8000, which is not taken for one here. */
function allZero(data: ArrayLike<number | bigint | string>): boolean {
  for (let i = 0; i < data.length; i++) if (data[i] !== 0 && data[i] !== 0n) return false;
  return true;
}
