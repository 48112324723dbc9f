import { DataType } from "../onnx/data-type.ts";
import type { TensorValue } from "../onnx/tensor-value.ts";
import { checkedCount, elementsOf, elementWidth } from "./elements.ts";
import { SamplesError } from "./samples-error.ts";

/** NumPy's own limit for a header without its `allow_pickle` is 10,000; shapes need far less. */
const MAX_HEADER = 10_000;

const TYPES: ReadonlyMap<string, number> = new Map([
  ["b1", DataType.BOOL],
  ["i1", DataType.INT8],
  ["u1", DataType.UINT8],
  ["i2", DataType.INT16],
  ["u2", DataType.UINT16],
  ["f2", DataType.FLOAT16],
  ["i4", DataType.INT32],
  ["u4", DataType.UINT32],
  ["f4", DataType.FLOAT],
  ["i8", DataType.INT64],
  ["u8", DataType.UINT64],
  ["f8", DataType.DOUBLE],
]);

/** `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, the keys in any order. */
const ENTRY = /^\s*'(descr|fortran_order|shape)'\s*:\s*('[^']*'|True|False|\([\d,\s]*\))\s*(?:,|$)/;

/**
 * Reads one NumPy array (format versions 1 to 3), in C order and this machine's byte order.
 * @param name what errors call the array.
 * @throws SamplesError `not_npy`, `npy_header`, `npy_type` or `array_size`.
 */
export function parseNpy(bytes: Uint8Array, name: string): TensorValue {
  const { header, start } = splitHeader(bytes, name);
  const { descr, fortran, dims } = parseHeader(header, name);
  const dataType = TYPES.get(descr.slice(1));
  if (dataType === undefined || !"<>|=".includes(descr.charAt(0))) {
    const hint = descr.includes("O") ? "Python objects, which are not read; save plain numbers" : "type";
    throw new SamplesError(
      "npy_type",
      `array ${JSON.stringify(name)} holds ${hint} ${JSON.stringify(descr)}`,
    );
  }
  const width = elementWidth(dataType);
  const count = checkedCount(name, dims);
  const body = bytes.subarray(start);
  if (body.byteLength !== count * width) {
    throw new SamplesError(
      "array_size",
      `array ${JSON.stringify(name)} of shape [${dims}] needs ${count * width} bytes and has ${body.byteLength}`,
    );
  }
  const little = descr.startsWith(">") ? byteSwapped(body, width) : body;
  const ordered = fortran ? toCOrder(little, width, dims) : little;
  return { dataType, dims, data: elementsOf(dataType, ordered) };
}

function splitHeader(bytes: Uint8Array, name: string): { header: string; start: number } {
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  const major = bytes[6];
  const wide = major === 2 || major === 3;
  if (
    magic.some((byte, i) => bytes[i] !== byte) ||
    !(wide || major === 1) ||
    bytes.byteLength < (wide ? 12 : 10)
  ) {
    throw new SamplesError("not_npy", `array ${JSON.stringify(name)} is no NumPy array of format 1 to 3`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (wide ? 12 : 10) + length;
  if (length > MAX_HEADER || start > bytes.byteLength) {
    throw new SamplesError("not_npy", `the header of array ${JSON.stringify(name)} is ${length} bytes long`);
  }
  return { header: new TextDecoder().decode(bytes.subarray(wide ? 12 : 10, start)), start };
}

function parseHeader(header: string, name: string): { descr: string; fortran: boolean; dims: number[] } {
  const found = new Map<string, string>();
  const outer = /^\s*\{(.*)\}\s*$/s.exec(header);
  let rest = outer?.[1]?.trim() ?? "";
  for (let entry = ENTRY.exec(rest); entry !== null; entry = ENTRY.exec(rest)) {
    if (found.has(entry[1]!)) break;
    found.set(entry[1]!, entry[2]!);
    rest = rest.slice(entry[0].length);
  }
  const descr = found.get("descr");
  const fortran = found.get("fortran_order");
  const shape = found.get("shape");
  const wellFormed =
    rest.trim() === "" &&
    descr !== undefined &&
    descr.startsWith("'") &&
    (fortran === "True" || fortran === "False") &&
    shape !== undefined &&
    /^\((\s*|\s*\d+\s*,\s*|\s*\d+(\s*,\s*\d+)+\s*,?\s*)\)$/.test(shape);
  if (!wellFormed) {
    throw new SamplesError(
      "npy_header",
      `array ${JSON.stringify(name)} has a header that is not read: ${header.trim().slice(0, 120)}`,
    );
  }
  return {
    descr: descr.slice(1, -1),
    fortran: fortran === "True",
    dims: (shape.match(/\d+/g) ?? []).map(Number),
  };
}

function byteSwapped(bytes: Uint8Array, width: number): Uint8Array {
  const result = new Uint8Array(bytes.byteLength);
  for (let i = 0; i < bytes.byteLength; i += width) {
    for (let b = 0; b < width; b++) result[i + b] = bytes[i + width - 1 - b]!;
  }
  return result;
}

/** Column-major to row-major: walks the result in order and keeps the source's index as it goes. */
function toCOrder(bytes: Uint8Array, width: number, dims: readonly number[]): Uint8Array {
  const result = new Uint8Array(bytes.byteLength);
  const strides = dims.map((_, axis) => dims.slice(0, axis).reduce((product, dim) => product * dim, width));
  const index = dims.map(() => 0);
  let from = 0;
  for (let to = 0; to < bytes.byteLength; to += width) {
    for (let b = 0; b < width; b++) result[to + b] = bytes[from + b]!;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < dims[axis]!) break;
      from -= strides[axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}
