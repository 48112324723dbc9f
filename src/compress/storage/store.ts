import type { FloatArray } from "../../kernels/reference/matmul.ts";
import { bitsPerElement, DataType } from "../../onnx/data-type.ts";
import type { SparseTensor, Tensor } from "../../onnx/model.ts";
import { sparseTensorOf } from "../../onnx/sparse.ts";
import { tensorOf } from "../../onnx/tensor.ts";
import { elementCount, type TensorValue } from "../../onnx/tensor-value.ts";
import { sparseBytes } from "../sparsity/storage.ts";
import { type LayerWeight, storedAs } from "../weight.ts";
import { type CodedWeight, halved } from "./coded.ts";
import { overheadBytes } from "./decode-nodes.ts";
import { digitBytes, digitsFor, packDigits } from "./digits.ts";
import { countGaps, gapsOf } from "./gaps.ts";
import type { Decode, Elements, Placement, StoredPart, StoredWeight } from "./stored-weight.ts";

/** Distances up to which a gap may reach before a zero has to be stored, for the choice of the smallest. */
const GAP_BASES = [4, 6, 8, 11, 16, 24, 40, 64, 128, 256];

/** First opset with CumSum and ScatterElements. */
const PLACEMENT_OPSET = 11;
/** First opset with int4. */
export const INT4_OPSET = 21;

/** Protobuf tags, lengths, type and dims of a tensor, and its name. Rounded up. */
const PART_BYTES = 24;

/** Narrows the choice of the smallest. */
export type Allow = (decode: Decode) => boolean;

const anything: Allow = () => true;

/** The weight's own numbers, unchanged, in the fewest bytes: all of them, or the ones that are not zero. */
export function storePlain(weight: LayerWeight, opset: number, allow: Allow = anything): StoredWeight {
  return storeNumbers(weight, weight.dataType, opset, allow);
}

/** The numbers rounded to float16; float and double come back by a cast. Numbers past 65504 become that. */
export function storeHalf(weight: LayerWeight, opset: number, allow: Allow = anything): StoredWeight {
  return storeNumbers(weight, DataType.FLOAT16, opset, allow);
}

function storeNumbers(
  { dims, dataType, values }: LayerWeight,
  as: number,
  opset: number,
  allow: Allow,
): StoredWeight {
  const numbers = as === DataType.FLOAT16 && dataType !== as ? halved(Float32Array.from(values)) : values;
  return smallest(
    {
      dims,
      dataType,
      view: dims,
      factors: [],
      // Negative zero is a value of its own: such a weight comes back bit for bit only where all are stored.
      occupied: numbers.some((value) => Object.is(value, -0)) ? null : numbers,
      forms: [
        {
          elements: () => ({ kind: "numbers", dataType: as }),
          bytes: (count) => (count * bitsPerElement(as)!) / 8,
          value: (at, shape) => ({ dataType: as, dims: shape, data: storedAs(as, picked(numbers, at)) }),
        },
      ],
      others: [],
    },
    opset,
    allow,
  );
}

/**
 * A quantised weight in the fewest bytes that the opset allows: int8, int4 (opset 21) or digits of words with a table
 * of levels; for each place, or only for what is not zero (opset 11).
 */
export function storeCoded(coded: CodedWeight, opset: number, allow: Allow = anything): StoredWeight {
  const { codes, levels, dims, dataType, view } = coded;
  if (codes.length === 0) return storePlain({ dims, dataType, values: new Float32Array(0) }, opset);
  const zero = levels.indexOf(0);
  const numbers = (at: ArrayLike<number> | null) =>
    at ? Uint8Array.from(at, (place) => (place < 0 ? zero : codes[place]!)) : codes;
  const integers = (at: ArrayLike<number> | null) => Int8Array.from(numbers(at), (code) => levels[code]!);
  const halfLevels = levels.length > 8 && halved(levels).every((level, i) => level === levels[i]);
  const forms: Form[] = [
    {
      elements: (count) => ({ kind: "digits", digits: digitsFor(levels.length, count), halfLevels }),
      bytes: (count) =>
        digitBytes(digitsFor(levels.length, count)) + levels.length * (halfLevels ? 2 : 4) + PART_BYTES,
      value: (at, shape) => {
        const values = numbers(at);
        const digits = digitsFor(levels.length, values.length);
        const data = packDigits(digits, values);
        return { dataType: digits.word, dims: digits.perWord === 1 ? shape : [data.length], data };
      },
    },
  ];
  if (areIntegers(levels, -128, 127)) forms.push(integerForm(DataType.INT8, 1, integers));
  if (opset >= INT4_OPSET && areIntegers(levels, -8, 7))
    forms.push(integerForm(DataType.INT4, 0.5, integers));
  return smallest(
    {
      dims,
      dataType,
      view,
      factors: coded.factors,
      occupied: zero < 0 ? null : codes.map((code) => (code === zero ? 0 : 1)),
      forms,
      others: [
        {
          role: "levels",
          for: "digits",
          tensor: numbersTensor(halfLevels ? DataType.FLOAT16 : DataType.FLOAT, [levels.length], levels),
        },
      ],
    },
    opset,
    allow,
  );
}

interface Source {
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly view: readonly number[];
  readonly factors: CodedWeight["factors"];
  /** Zero where nothing needs to be stored; null where everything does. */
  readonly occupied: ArrayLike<number> | null;
  /** Ways to write the elements. */
  readonly forms: readonly Form[];
  /** Parts that come with elements of a kind. */
  readonly others: readonly (StoredPart & { readonly for: Elements["kind"] })[];
}

interface Form {
  elements(count: number): Elements;
  bytes(count: number): number;
  /** The elements at these places, −1 for a zero, or all of them where null; `dims` where nothing is packed. */
  value(at: ArrayLike<number> | null, dims: readonly number[]): TensorValue;
}

/** Every form with every placement; the smallest of them. */
function smallest(source: Source, opset: number, allow: Allow): StoredWeight {
  const { dims, dataType, view, factors, occupied, forms } = source;
  const total = elementCount(dims);
  let best: { decode: Decode; form: Form; bytes: number } | undefined;
  const consider = (form: Form, count: number, placement: Placement, positionBytes: number) => {
    const decode: Decode = {
      dims,
      dataType,
      elements: form.elements(count),
      placement,
      view,
      factors: factors.map((factor) => ({ dims: factor.dims, half: factor.half })),
    };
    if (!allow(decode)) return;
    const bytes = form.bytes(count) + positionBytes + overheadBytes(decode, opset);
    if (!best || bytes < best.bytes) best = { decode, form, bytes };
  };
  const placements = occupied ? sparsePlacements(occupied, total, opset) : [];
  for (const form of forms) {
    consider(form, total, { kind: "dense" }, 0);
    for (const { placement, count, bytes } of placements) {
      if (placement.kind !== "sparse" || mayBeSparse(form.elements(count))) {
        consider(form, count, placement, bytes);
      }
    }
  }
  if (!best) throw new RangeError("no allowed way to store this weight at this opset");
  const { decode, form } = best;
  return storedWeight(partsOf(source, decode, form), decode, opset);
}

/** ONNX Runtime reads no sparse initializer of int4, and words of digits have no places of their own. */
function mayBeSparse(elements: Elements): boolean {
  return elements.kind !== "digits" && elements.dataType !== DataType.INT4;
}

function sparsePlacements(
  occupied: ArrayLike<number>,
  total: number,
  opset: number,
): { placement: Placement; count: number; bytes: number }[] {
  let nonzero = 0;
  for (let i = 0; i < total; i++) if (occupied[i] !== 0) nonzero++;
  if (nonzero === 0 && opset < PLACEMENT_OPSET) return [];
  const marks = Float32Array.from(occupied, (one) => (one === 0 ? 0 : 1));
  const list: { placement: Placement; count: number; bytes: number }[] = [];
  if (nonzero > 0) {
    list.push({ placement: { kind: "sparse" }, count: nonzero, bytes: sparseBytes(marks, 0) });
  }
  if (opset < PLACEMENT_OPSET) return list;
  const mask = digitsFor(2, total);
  list.push({
    placement: { kind: "mask", digits: mask },
    count: nonzero + 1,
    bytes: digitBytes(mask) + PART_BYTES,
  });
  if (nonzero === 0) return list;
  for (const base of GAP_BASES) {
    const count = countGaps(occupied, base);
    const digits = digitsFor(base, count);
    list.push({ placement: { kind: "gaps", digits }, count, bytes: digitBytes(digits) + PART_BYTES });
  }
  return list;
}

function partsOf(source: Source, decode: Decode, form: Form): StoredPart[] {
  const { elements, placement } = decode;
  const { occupied, view, factors, others } = source;
  const parts: StoredPart[] = [];
  const add = (at: ArrayLike<number> | null, dims: readonly number[]) => {
    parts.push({ role: "elements", tensor: tensorOf("", form.value(at, dims)) });
  };
  switch (placement.kind) {
    case "dense":
      add(null, view);
      break;
    case "sparse":
      parts.push({ role: "elements", tensor: sparseTensorOf("", form.value(null, view)) });
      break;
    case "mask": {
      const places = [-1];
      for (let i = 0; i < occupied!.length; i++) if (occupied![i] !== 0) places.push(i);
      add(places, [places.length]);
      const marks = Uint8Array.from(occupied!, (one) => (one === 0 ? 0 : 1));
      parts.push({ role: "positions", tensor: digitsTensor(placement.digits, marks) });
      break;
    }
    case "gaps": {
      const { gaps, positions } = gapsOf(occupied!, placement.digits.base);
      add(positions, [positions.length]);
      parts.push({ role: "positions", tensor: digitsTensor(placement.digits, gaps) });
      break;
    }
    case "dequantize":
      throw new RangeError("DequantizeLinear is not chosen by size");
  }
  for (const other of others) {
    if (other.for === elements.kind) parts.push({ role: other.role, tensor: other.tensor });
  }
  factors.forEach((factor, i) => {
    parts.push({ role: `factor${i}`, tensor: factorTensor(factor) });
  });
  return parts;
}

export function storedWeight(parts: readonly StoredPart[], decode: Decode, opset: number): StoredWeight {
  const { elements, placement } = decode;
  const sparse = placement.kind === "sparse";
  const int4 = elements.kind === "integers" && elements.dataType === DataType.INT4;
  const blocked = placement.kind === "dequantize" && placement.blockSize !== null;
  let minOpset = 7;
  if (placement.kind === "mask" || placement.kind === "gaps") minOpset = PLACEMENT_OPSET;
  if (placement.kind === "dequantize") minOpset = 13;
  if (int4 || blocked) minOpset = INT4_OPSET;
  const payload = parts.reduce((sum, { tensor }) => sum + partBytes(tensor), 0);
  return {
    parts,
    decode,
    minOpset,
    minIrVersion: int4 ? 10 : sparse ? 6 : 4,
    bytes: payload + overheadBytes(decode, opset),
  };
}

function partBytes(tensor: Tensor | SparseTensor): number {
  if ("values" in tensor) return partBytes(tensor.values) + partBytes(tensor.indices);
  const { data } = tensor;
  return PART_BYTES + ("bytes" in data ? data.bytes.length : 0);
}

function integerForm(
  dataType: number,
  bytes: number,
  integers: (at: ArrayLike<number> | null) => Int8Array,
): Form {
  return {
    elements: () => ({ kind: "integers", dataType }),
    bytes: (count) => Math.ceil(count * bytes),
    value: (at, dims) => ({ dataType, dims, data: integers(at) }),
  };
}

function picked(numbers: FloatArray, at: ArrayLike<number> | null): FloatArray {
  return at ? Float64Array.from(at, (place) => (place < 0 ? 0 : numbers[place]!)) : numbers;
}

/** Whether the levels are integers of the range. */
export function areIntegers(levels: Float32Array, least: number, most: number): boolean {
  return levels.every((level) => Number.isInteger(level) && level >= least && level <= most);
}

function numbersTensor(
  dataType: number,
  dims: readonly number[],
  values: Float32Array | Float64Array,
): Tensor {
  return tensorOf("", { dataType, dims, data: storedAs(dataType, values) });
}

export function factorTensor({ dims, values, half }: CodedWeight["factors"][number]): Tensor {
  return numbersTensor(half ? DataType.FLOAT16 : DataType.FLOAT, dims, values);
}

function digitsTensor(digits: ReturnType<typeof digitsFor>, values: Uint8Array): Tensor {
  const words = packDigits(digits, values);
  return tensorOf("", { dataType: digits.word, dims: [words.length], data: words });
}
