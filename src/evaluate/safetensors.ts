import { DataType } from "../onnx/data-type.ts";
import type { TensorValue } from "../onnx/tensor-value.ts";
import { checkedCount, elementsOf, elementWidth } from "./elements.ts";
import { SamplesError } from "./samples-error.ts";

const MAX_HEADER = 16 * 2 ** 20;

const TYPES: ReadonlyMap<unknown, number> = new Map([
  ["BOOL", DataType.BOOL],
  ["I8", DataType.INT8],
  ["U8", DataType.UINT8],
  ["I16", DataType.INT16],
  ["U16", DataType.UINT16],
  ["F16", DataType.FLOAT16],
  ["BF16", DataType.BFLOAT16],
  ["I32", DataType.INT32],
  ["U32", DataType.UINT32],
  ["F32", DataType.FLOAT],
  ["I64", DataType.INT64],
  ["U64", DataType.UINT64],
  ["F64", DataType.DOUBLE],
]);

interface Entry {
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly number[];
  readonly start: number;
  readonly end: number;
}

/**
 * Reads a safetensors file: a u64 header length, a JSON header, then the bytes, which the header has to cover
 * exactly and without overlap.
 * @throws SamplesError `not_safetensors`, `safetensors_header` or `array_size`.
 */
export function parseSafetensors(bytes: Uint8Array): Map<string, TensorValue> {
  if (bytes.byteLength < 8) throw new SamplesError("not_safetensors", "the file is no safetensors file");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > MAX_HEADER || length > bytes.byteLength - 8) {
    throw new SamplesError(
      "not_safetensors",
      `the file is no safetensors file: it declares a header of ${length} bytes`,
    );
  }
  const body = bytes.subarray(8 + length);
  const entries = parseHeader(bytes.subarray(8, 8 + length)).sort(
    (a, b) => a.start - b.start || a.end - b.end,
  );
  let covered = 0;
  for (const { name, start, end } of entries) {
    if (start !== covered) {
      throw new SamplesError(
        "safetensors_header",
        `array ${JSON.stringify(name)} leaves a gap or overlaps another`,
      );
    }
    covered = end;
  }
  if (covered !== body.byteLength) {
    throw new SamplesError("safetensors_header", `the arrays cover ${covered} of ${body.byteLength} bytes`);
  }
  return new Map(
    entries.map(({ name, dataType, dims, start, end }) => [
      name,
      { dataType, dims, data: elementsOf(dataType, body.subarray(start, end)) },
    ]),
  );
}

function parseHeader(bytes: Uint8Array): Entry[] {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw new SamplesError("safetensors_header", "the header is no JSON", { cause: error });
  }
  if (!isRecord(header)) throw new SamplesError("safetensors_header", "the header is no JSON object");
  return Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => parseEntry(name, entry));
}

function parseEntry(name: string, entry: unknown): Entry {
  const refuse = (what: string): never => {
    throw new SamplesError("safetensors_header", `array ${JSON.stringify(name)} has ${what}`);
  };
  if (!isRecord(entry)) return refuse("no description");
  const dataType = TYPES.get(entry.dtype);
  if (dataType === undefined) return refuse(`type ${JSON.stringify(entry.dtype)}, which is not read`);
  if (!isIndices(entry.shape)) return refuse("no shape of whole numbers");
  if (!isIndices(entry.data_offsets) || entry.data_offsets.length !== 2) return refuse("no pair of offsets");
  const [start, end] = entry.data_offsets as [number, number];
  const needed = checkedCount(name, entry.shape) * elementWidth(dataType);
  if (end - start !== needed) {
    throw new SamplesError(
      "array_size",
      `array ${JSON.stringify(name)} of shape [${entry.shape}] needs ${needed} bytes and has ${end - start}`,
    );
  }
  return { name, dataType, dims: entry.shape, start, end };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isIndices(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}
