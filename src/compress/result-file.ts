import { TensorField } from "../onnx/fields.ts";
import type { SparseTensor, Tensor } from "../onnx/model.ts";
import { type ByteSource, type Bytes, byteLength, type Span, sourceOf } from "../onnx/source.ts";
import type { LayerResult } from "./layer-result.ts";
import type { StoredPart } from "./storage/stored-weight.ts";

/**
 * A layer's result as bytes, so that a durable job can put it into a blob and assemble later: a little-endian
 * 32-bit length, that much JSON, then the payloads of the tensors in order. Tensors that are read back
 * are spans of the blob, so that assembling streams them.
 */
interface Header {
  readonly result: LayerResult;
  /** In the order in which they come up in the result. */
  readonly tensors: readonly TensorHeader[];
}

interface TensorHeader {
  readonly dataType: number;
  readonly dims: readonly number[];
  /** Bytes of the values; of the indices too where the tensor is sparse. */
  readonly values: number;
  readonly sparse?: { readonly count: number; readonly indexType: number; readonly indices: number };
}

const LENGTH_BYTES = 4;

export function encodeResult(result: LayerResult): ByteSource {
  const payloads: Bytes[] = [];
  const headers: TensorHeader[] = [];
  for (const { tensor } of partsOf(result)) {
    if (!("values" in tensor)) {
      const values = payload(tensor);
      payloads.push(values);
      headers.push({ dataType: tensor.dataType, dims: tensor.dims, values: byteLength(values) });
      continue;
    }
    const values = payload(tensor.values);
    const indices = payload(tensor.indices);
    payloads.push(values, indices);
    headers.push({
      dataType: tensor.values.dataType,
      dims: tensor.dims,
      values: byteLength(values),
      sparse: {
        count: tensor.values.dims[0]!,
        indexType: tensor.indices.dataType,
        indices: byteLength(indices),
      },
    });
  }
  const header: Header = { result: withTensors(result, () => null as unknown as Tensor), tensors: headers };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, json.length, true);
  return sourceOf([length, json, ...payloads]);
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
  const tensors = header.tensors.map(({ dataType, dims, values, sparse }): Tensor | SparseTensor => {
    const raw = (shape: readonly number[]): Tensor => ({
      name: "",
      dataType,
      dims: shape,
      data: { kind: "raw", bytes: span(values) },
    });
    if (!sparse) return raw(dims);
    return {
      values: raw([sparse.count]),
      indices: {
        name: "",
        dataType: sparse.indexType,
        dims: [sparse.count],
        data: { kind: "typed", field: TensorField.int64Data, bytes: span(sparse.indices) },
      },
      dims,
    };
  });
  return withTensors(header.result, (index) => tensors[index]!);
}

/** The numbers of a result's tensors, wherever they lie. */
export function payloadsOf(result: LayerResult): Bytes[] {
  return partsOf(result).flatMap(({ tensor }) =>
    "values" in tensor ? [payload(tensor.values), payload(tensor.indices)] : [payload(tensor)],
  );
}

function partsOf(result: LayerResult): StoredPart[] {
  return result.weights.flatMap(({ stored }) => stored.parts);
}

/** The result with the tensor of each part replaced, by its place among all parts. */
function withTensors(result: LayerResult, tensor: (index: number) => Tensor | SparseTensor): LayerResult {
  let index = 0;
  return {
    ...result,
    weights: result.weights.map((weight) => ({
      ...weight,
      stored: {
        ...weight.stored,
        parts: weight.stored.parts.map(({ role }) => ({ role, tensor: tensor(index++) })),
      },
    })),
  };
}

function payload({ data }: Tensor): Bytes {
  if (data.kind !== "raw" && data.kind !== "typed") throw new RangeError("results hold their own bytes");
  return data.bytes;
}
