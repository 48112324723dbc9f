import { narrow } from "../constant/half.ts";
import { DataType } from "../data-type.ts";
import {
  findAttribute,
  floatAttribute,
  floatsAttribute,
  intAttribute,
  intsAttribute,
  nodeOf,
  stringAttribute,
  withAttributes,
} from "../edit.ts";
import type { Node } from "../model.ts";
import type { TensorArray } from "../tensor-value.ts";
import type { OpsetRule, Raising } from "./rule.ts";

const REDUCTIONS = [
  "ReduceL1",
  "ReduceL2",
  "ReduceLogSum",
  "ReduceLogSumExp",
  "ReduceMax",
  "ReduceMean",
  "ReduceMin",
  "ReduceProd",
  "ReduceSumSquare",
];

/** Every change of meaning between opset 7 and 21 that is handled, in the order of the opsets. */
export const OPSET_RULES: readonly OpsetRule[] = [
  {
    operators: ["BatchNormalization"],
    at: 9,
    raise(node, { refuse }) {
      if (intAttribute(node, "spatial", 1) !== 1)
        refuse("it normalises each position by itself (spatial = 0)");
      return withAttributes(node, { spatial: undefined });
    },
  },
  {
    operators: ["Upsample"],
    at: 9,
    raise(node, raising) {
      const scales = floatsAttribute(node, "scales", null) ?? raising.refuse("it has no scales");
      const input = raising.constant({
        dataType: DataType.FLOAT,
        dims: [scales.length],
        data: Float32Array.from(scales),
      });
      return { ...withAttributes(node, { scales: undefined }), inputs: [node.inputs[0]!, input] };
    },
  },
  {
    operators: ["Scan"],
    at: 9,
    raise: (_, { refuse }) => refuse("its batch dimension has no counterpart"),
  },
  {
    operators: ["Upsample"],
    at: 10,
    raise: (node) => ({ ...withAttributes(node, {}), opType: "Resize" }),
  },
  {
    operators: ["Dropout"],
    at: 10,
    raise(node, { refuse }) {
      if ((node.outputs[1] ?? "") !== "") refuse("its mask is used, whose type changes");
      return node;
    },
  },
  {
    operators: ["Slice"],
    at: 10,
    raise(node, raising) {
      const starts = intsAttribute(node, "starts", []);
      const axes = intsAttribute(node, "axes", null) ?? starts.map((_, i) => i);
      const ends = intsAttribute(node, "ends", []);
      const inputs = [starts, ends, axes].map((list) => vector(raising, list));
      return {
        ...withAttributes(node, { starts: undefined, ends: undefined, axes: undefined }),
        inputs: [node.inputs[0]!, ...inputs],
      };
    },
  },
  {
    operators: ["TopK"],
    at: 10,
    raise: (node, raising) => ({
      ...withAttributes(node, { k: undefined }),
      inputs: [node.inputs[0]!, vector(raising, [intAttribute(node, "k", 0)])],
    }),
  },
  { operators: ["Resize"], at: 11, raise: resizeOf },
  {
    operators: ["Clip"],
    at: 11,
    raise(node, raising) {
      const bounds = ["min", "max"].map((name) =>
        findAttribute(node, name) ? scalar(node, raising, floatAttribute(node, name, 0)) : "",
      );
      return {
        ...withAttributes(node, { min: undefined, max: undefined }),
        inputs: trimmed([node.inputs[0]!, ...bounds]),
      };
    },
  },
  {
    operators: ["Pad"],
    at: 11,
    raise(node, raising) {
      const inputs = [node.inputs[0]!, vector(raising, intsAttribute(node, "pads", []))];
      const filler = floatAttribute(node, "value", 0);
      if (filler !== 0) inputs.push(scalar(node, raising, filler));
      return { ...withAttributes(node, { pads: undefined, value: undefined }), inputs };
    },
  },
  {
    operators: ["Scatter"],
    at: 11,
    raise: (node) => ({ ...withAttributes(node, {}), opType: "ScatterElements" }),
  },
  { operators: ["Dropout"], at: 12, raise: (node) => withAttributes(node, { ratio: undefined }) },
  {
    operators: ["Resize"],
    at: 13,
    raise(node, { refuse }) {
      if (stringAttribute(node, "coordinate_transformation_mode", "") === "tf_half_pixel_for_nn") {
        refuse("its coordinate mode tf_half_pixel_for_nn is no longer there");
      }
      return node;
    },
  },
  { operators: ["Squeeze", "Unsqueeze", "ReduceSum"], at: 13, raise: axesToInput },
  {
    operators: ["Split"],
    at: 13,
    raise(node, raising) {
      const split = intsAttribute(node, "split", null);
      if (split === null) return node;
      return {
        ...withAttributes(node, { split: undefined }),
        inputs: [node.inputs[0]!, vector(raising, split)],
      };
    },
  },
  { operators: ["Softmax", "LogSoftmax", "Hardmax"], at: 13, raise: softmaxOf },
  {
    operators: ["BatchNormalization"],
    at: 14,
    raise(node, { refuse }) {
      if (node.outputs.slice(1).some((name) => name !== "")) refuse("it is in training mode");
      return node;
    },
  },
  {
    operators: ["RoiAlign"],
    at: 16,
    raise: (node) =>
      withAttributes(node, {
        coordinate_transformation_mode: { type: "string", value: "output_half_pixel" },
      }),
  },
  { operators: REDUCTIONS, at: 18, raise: axesToInput },
  {
    operators: ["Split"],
    at: 18,
    raise(node) {
      if ((node.inputs[1] ?? "") !== "") return node;
      return withAttributes(node, { num_outputs: { type: "int", value: node.outputs.length } });
    },
  },
  {
    operators: ["AveragePool"],
    at: 19,
    raise(node, { refuse }) {
      if (intAttribute(node, "ceil_mode", 0) !== 0) refuse("windows past the border are averaged otherwise");
      return node;
    },
  },
  {
    operators: ["GridSample"],
    at: 20,
    raise(node) {
      const renamed: Record<string, string> = { bilinear: "linear", bicubic: "cubic" };
      const mode = stringAttribute(node, "mode", "bilinear");
      return withAttributes(node, { mode: { type: "string", value: renamed[mode] ?? mode } });
    },
  },
  {
    operators: ["GroupNormalization"],
    at: 21,
    raise: (_, { refuse }) => refuse("its scale and bias are per group before and per channel after"),
  },
];

/**
 * Resize-10 as onnxruntime-web computes it: asymmetric coordinates, and the lower neighbour. It takes the upper
 * neighbour where the size shrinks, which no later version does by default.
 */
function resizeOf(node: Node, raising: Raising): Node {
  const [x = "", scales = ""] = node.inputs;
  const factors = raising.elementsOf(scales);
  if (!factors?.every((factor) => typeof factor === "number" && factor >= 1)) {
    raising.refuse("its scales are unknown or below 1");
  }
  const roi = raising.constant({ dataType: DataType.FLOAT, dims: [0], data: new Float32Array(0) });
  return {
    ...withAttributes(node, {
      coordinate_transformation_mode: { type: "string", value: "asymmetric" },
      nearest_mode: { type: "string", value: "floor" },
    }),
    inputs: [x, roi, scales],
  };
}

function axesToInput(node: Node, raising: Raising): Node {
  const axes = intsAttribute(node, "axes", null);
  if (axes === null) return node;
  return {
    ...withAttributes(node, { axes: undefined }),
    inputs: [node.inputs[0]!, vector(raising, axes)],
  };
}

/** Before 13 all axes from `axis` on are one: that is the last axis alone, or has to be said with Flatten. */
function softmaxOf(node: Node, raising: Raising): Node | Node[] {
  const [x = ""] = node.inputs;
  const axis = intAttribute(node, "axis", 1);
  const rank = raising.infoOf(x)?.dims.length;
  if (rank !== undefined && (axis === rank - 1 || axis === -1)) {
    return withAttributes(node, { axis: { type: "int", value: axis } });
  }
  const [shape, flat, result] = [raising.fresh(), raising.fresh(), raising.fresh()];
  return [
    nodeOf("Shape", [x], [shape]),
    nodeOf("Flatten", [x], [flat], { axis: { type: "int", value: axis } }),
    {
      ...withAttributes(node, { axis: { type: "int", value: 1 } }),
      inputs: [flat],
      outputs: [result],
    },
    nodeOf("Reshape", [result, shape], [...node.outputs]),
  ];
}

function vector(raising: Raising, values: readonly number[]): string {
  return raising.constant({
    dataType: DataType.INT64,
    dims: [values.length],
    data: BigInt64Array.from(values, int64Of),
  });
}

/** Integers of attributes are JavaScript numbers: those near the ends of int64 are taken as these. */
function int64Of(value: number): bigint {
  return BigInt.asIntN(64, value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(Math.max(value, -(2 ** 63))));
}

/** A scalar of the type of the node's first input. */
function scalar(node: Node, raising: Raising, value: number): string {
  const dataType = raising.infoOf(node.inputs[0] ?? "")?.dataType ?? DataType.UNDEFINED;
  const data = scalarData(dataType, value) ?? raising.refuse("the type of its input is unknown");
  return raising.constant({ dataType, dims: [], data });
}

function scalarData(dataType: number, value: number): TensorArray | undefined {
  if (dataType === DataType.FLOAT) return Float32Array.of(value);
  if (dataType === DataType.DOUBLE) return Float64Array.of(value);
  if (dataType === DataType.FLOAT16) return narrow(dataType, [value]);
  return undefined;
}

function trimmed(inputs: readonly string[]): string[] {
  const last = inputs.findLastIndex((name) => name !== "");
  return inputs.slice(0, last + 1);
}
