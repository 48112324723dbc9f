import { TensorField } from "../onnx/fields.ts";
import type { SparseTensor, Tensor } from "../onnx/model.ts";
import { type ByteSource, byteLength, load, type Span } from "../onnx/source.ts";
import type { LayerResult, ResultTensor } from "./compress-layer.ts";

/**
 * A layer's result as bytes, so that a durable job can put it into a blob and assemble later: a little-endian
 * 32-bit length, that much JSON, then the payloads of the tensors in order. Tensors that are read back
 * are spans of the blob, so that assembling streams them.
 */
interface Header {
  readonly result: Omit<LayerResult, "tensors">;
  readonly tensors: readonly TensorHeader[];
}

interface TensorHeader {
  readonly role: ResultTensor["role"];
  readonly dataType: number;
  readonly dims: readonly number[];
  /** Bytes of the values; of the indices too where the tensor is sparse. */
  readonly values: number;
  readonly sparse?: { readonly count: number; readonly indexType: number; readonly indices: number };
}

const LENGTH_BYTES = 4;

export async function encodeResult(result: LayerResult): Promise<Uint8Array> {
  const { tensors, ...rest } = result;
  const payloads: Uint8Array[] = [];
  const headers: TensorHeader[] = [];
  for (const { role, tensor } of tensors) {
    if (!("values" in tensor)) {
      const values = await payload(tensor);
      payloads.push(values);
      headers.push({ role, dataType: tensor.dataType, dims: tensor.dims, values: values.length });
      continue;
    }
    const values = await payload(tensor.values);
    const indices = await payload(tensor.indices);
    payloads.push(values, indices);
    headers.push({
      role,
      dataType: tensor.values.dataType,
      dims: tensor.dims,
      values: values.length,
      sparse: {
        count: tensor.values.dims[0]!,
        indexType: tensor.indices.dataType,
        indices: indices.length,
      },
    });
  }
  const header: Header = { result: rest, tensors: headers };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const size = payloads.reduce((sum, part) => sum + part.length, LENGTH_BYTES + json.length);
  const bytes = new Uint8Array(size);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, LENGTH_BYTES);
  let at = LENGTH_BYTES + json.length;
  for (const part of payloads) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Reads the JSON only; the tensors' bytes stay where they are until the artifact is written. */
export async function decodeResult(source: ByteSource): Promise<LayerResult> {
  const prefix = await source.read(0, LENGTH_BYTES);
  const length = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES).getUint32(0, true);
  const json = await source.read(LENGTH_BYTES, length);
  const header = JSON.parse(new TextDecoder().decode(json)) as Header;
  let at = LENGTH_BYTES + length;
  const span = (bytes: number): Span => {
    const offset = at;
    at += bytes;
    return { source, offset, length: bytes };
  };
  const tensors = header.tensors.map(({ role, dataType, dims, values, sparse }): ResultTensor => {
    const raw = (shape: readonly number[]): Tensor => ({
      name: "",
      dataType,
      dims: shape,
      data: { kind: "raw", bytes: span(values) },
    });
    if (!sparse) return { role, tensor: raw(dims) };
    const tensor: SparseTensor = {
      values: raw([sparse.count]),
      indices: {
        name: "",
        dataType: sparse.indexType,
        dims: [sparse.count],
        data: { kind: "typed", field: TensorField.int64Data, bytes: span(sparse.indices) },
      },
      dims,
    };
    return { role, tensor };
  });
  return { ...header.result, tensors };
}

async function payload(tensor: Tensor): Promise<Uint8Array> {
  const { data } = tensor;
  if (data.kind !== "raw" && data.kind !== "typed") throw new RangeError("results hold their own bytes");
  const bytes = await load(data.bytes);
  if (bytes.length !== byteLength(data.bytes)) throw new RangeError("short read");
  return bytes;
}
