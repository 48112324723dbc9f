import { DataType } from "../../../onnx/data-type.ts";
import {
  floatAttribute,
  intAttribute,
  intsAttribute,
  stringAttribute,
  withAttributes,
} from "../../../onnx/edit.ts";
import type { Node } from "../../../onnx/model.ts";
import {
  constantIntegers,
  constantValue,
  isStandard,
  NEWEST_OPSET,
  type Pass,
  type Rewriting,
} from "../pass.ts";
import type { Scope } from "../scope.ts";

/** Constant margins in front of a convolution or pooling become its own padding. */
export const foldPads: Pass = {
  name: "fold-pads",
  opsets: [7, NEWEST_OPSET],
  operators: ["Pad"],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      if (!isStandard(node, "Pad")) continue;
      const [output] = node.outputs;
      const user = output ? scope.soleUser(output) : undefined;
      if (!user || user.node.inputs[0] !== output) continue;
      const margins = await marginsOf(scope, rewriting, node);
      const padded = margins && withMargins(user.node, margins.pads, margins.value);
      if (!padded) continue;
      scope.replace(user.index, { ...padded, inputs: [node.inputs[0]!, ...padded.inputs.slice(1)] });
      scope.remove(index);
      changes++;
    }
    return changes;
  },
};

interface Margins {
  /** Beginnings of the spatial axes, then their ends. */
  readonly pads: readonly number[];
  readonly value: number;
}

/** Pads and value are attributes up to opset 10, inputs from 11 on. */
async function marginsOf(scope: Scope, rewriting: Rewriting, node: Node): Promise<Margins | null> {
  if (stringAttribute(node, "mode", "constant") !== "constant" || node.inputs[3]) return null;
  const fromInputs = rewriting.opset >= 11;
  const pads = fromInputs
    ? await constantIntegers(scope, rewriting, node.inputs[1])
    : intsAttribute(node, "pads", null);
  let value = fromInputs ? 0 : floatAttribute(node, "value", 0);
  if (fromInputs && node.inputs[2]) {
    const given = await constantValue(scope, rewriting, node.inputs[2], 1);
    if (given?.dataType !== DataType.FLOAT) return null;
    value = given.data[0] as number;
  }
  if (!pads || pads.length % 2 || pads.some((size) => size < 0)) return null;
  const rank = pads.length / 2;
  const outer = [0, 1, rank, rank + 1];
  if (rank < 3 || outer.some((at) => pads[at] !== 0)) return null;
  return { pads: pads.filter((_, at) => !outer.includes(at)), value };
}

function withMargins(node: Node, pads: readonly number[], value: number): Node | null {
  const auto = stringAttribute(node, "auto_pad", "NOTSET");
  if (auto !== "NOTSET" && auto !== "VALID") return null;
  const own = auto === "VALID" ? null : intsAttribute(node, "pads", null);
  const sum = own ? pads.map((size, i) => size + (own[i] ?? 0)) : [...pads];
  const changes = { auto_pad: undefined, pads: { type: "ints" as const, value: sum } };
  if (isStandard(node, "Conv")) return value === 0 ? withAttributes(node, changes) : null;
  // A pooling window may not lie in the padding alone.
  const kernel = intsAttribute(node, "kernel_shape", []);
  const inside = sum.every((size, i) => size < (kernel[i % kernel.length] ?? 0));
  if (!inside || intAttribute(node, "ceil_mode", 0) || own?.some((size) => size > 0)) return null;
  if (isStandard(node, "MaxPool") && node.outputs.length === 1) {
    return value === Number.NEGATIVE_INFINITY ? withAttributes(node, changes) : null;
  }
  if (isStandard(node, "AveragePool") && value === 0) {
    return withAttributes(node, { ...changes, count_include_pad: { type: "int", value: 1 } });
  }
  return null;
}
