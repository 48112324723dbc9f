import { DataType } from "../../onnx/data-type.ts";
import { tensorOf } from "../../onnx/tensor.ts";
import type { CodedWeight } from "./coded.ts";
import { scaleLayouts, scalesIn } from "./scale-layout.ts";
import { areIntegers, factorTensor, INT4_OPSET, storedWeight } from "./store.ts";
import type { StoredPart, StoredWeight } from "./stored-weight.ts";

/**
 * The quantised weight as int8 (or int4 where the levels fit and the opset is 21) with DequantizeLinear, which ONNX
 * Runtime does not fold. null where it cannot say this weight at this opset: levels that are no integers, more than
 * one factor, or scales that no layout of the opset has.
 */
export function storeDequantized(coded: CodedWeight, opset: number): StoredWeight | null {
  const { levels, codes, dims, dataType, view, factors } = coded;
  const [factor] = factors;
  if (!factor || factors.length > 1 || !areIntegers(levels, -128, 127)) return null;
  const layout = scaleLayouts(dims, view, factor.dims).find((one) => one.opset <= opset);
  if (!layout) return null;
  const small = opset >= INT4_OPSET && areIntegers(levels, -8, 7);
  const integers = small ? DataType.INT4 : DataType.INT8;
  const scales = { dims: layout.dims, half: factor.half, values: scalesIn(layout, dims, view, factor) };
  const parts: StoredPart[] = [
    {
      role: "elements",
      tensor: tensorOf("", {
        dataType: integers,
        dims,
        data: levelsOf(codes, levels),
      }),
    },
    { role: "factor0", tensor: factorTensor(scales) },
  ];
  return storedWeight(
    parts,
    {
      dims,
      dataType,
      elements: { kind: "integers", dataType: integers },
      view: dims,
      factors: [{ dims: layout.dims, half: factor.half }],
      placement: { kind: "dequantize", axis: layout.axis, blockSize: layout.blockSize },
    },
    opset,
  );
}

function levelsOf(codes: Uint8Array, levels: Float32Array): Int8Array {
  const whole = Int8Array.from(levels);
  const integers = new Int8Array(codes.length);
  for (let i = 0; i < codes.length; i++) integers[i] = whole[codes[i]!]!;
  return integers;
}
