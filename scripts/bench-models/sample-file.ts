import { dataTypeName } from "../../src/onnx/data-type.ts";
import type { Feeds } from "../../src/runtime/runtime.ts";

const SAFETENSORS: Readonly<Record<string, string>> = {
  float: "F32",
  int64: "I64",
  int32: "I32",
  uint8: "U8",
};

/** Whole feeds, with their labels, as a .safetensors calibration file: arrays `x#0`, …, `labels#0`, …. */
export function sampleFile(
  feeds: readonly Feeds[],
  labels: readonly (readonly number[])[] | null,
): Uint8Array {
  const header: Record<string, object> = {};
  const parts: Uint8Array[] = [];
  let size = 0;
  const add = (name: string, dtype: string, shape: readonly number[], data: ArrayBufferView) => {
    header[name] = { dtype, shape, data_offsets: [size, size + data.byteLength] };
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    size += data.byteLength;
  };
  for (const [index, feed] of feeds.entries()) {
    for (const [name, { dataType, dims, data }] of Object.entries(feed)) {
      const dtype = SAFETENSORS[dataTypeName(dataType)];
      if (dtype === undefined || !ArrayBuffer.isView(data)) throw new TypeError(`${name}: no such samples`);
      add(`${name}#${index}`, dtype, dims, data);
    }
    if (labels)
      add(`labels#${index}`, "I64", [labels[index]!.length], BigInt64Array.from(labels[index]!, BigInt));
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + size);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  let at = 8 + json.length;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}
