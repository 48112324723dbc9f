import { ModelError } from "./errors.ts";
import { ModelField, WireType } from "./fields.ts";
import type { ByteSource } from "./source.ts";
import { varintAt } from "./wire.ts";

const SIGNATURES: readonly { at: number; bytes: string; what: string; instead: string }[] = [
  {
    at: 0,
    bytes: "PK\x03\x04",
    what: "a zip archive (or a PyTorch checkpoint)",
    instead: "open it as an archive, or export the checkpoint with torch.onnx.export",
  },
  { at: 0, bytes: "\x89HDF", what: "an HDF5 file (Keras)", instead: "convert it with tf2onnx" },
  { at: 0, bytes: "\x1f\x8b", what: "gzip-compressed", instead: "decompress it first" },
  {
    at: 0,
    bytes: "\x80\x02",
    what: "a Python pickle (a PyTorch checkpoint)",
    instead: "export the model with torch.onnx.export",
  },
  { at: 4, bytes: "TFL3", what: "a TensorFlow Lite model", instead: "convert it with tf2onnx --tflite" },
  {
    at: 4,
    bytes: "ORTM",
    what: "an ONNX Runtime .ort file",
    instead: "upload the .onnx file that it was made from",
  },
  { at: 0, bytes: "GGUF", what: "a GGUF model", instead: "export the original model to ONNX" },
  { at: 8, bytes: '{"', what: "a safetensors file", instead: "export the model with its graph to ONNX" },
];

const VARINTS = new Set<number>([ModelField.irVersion, ModelField.modelVersion]);
const KNOWN = new Set<number>(Object.values(ModelField));

/**
 * Looks at the first bytes: a ModelProto starts with one of its fields, in practice ir_version.
 * @throws ModelError `not_onnx`, naming the format where its signature is known.
 */
export async function refuseOtherFormats(source: ByteSource): Promise<void> {
  const head = await source.read(0, Math.min(16, source.size));
  const text = String.fromCharCode(...head);
  const known = SIGNATURES.find(({ at, bytes }) => text.startsWith(bytes, at));
  if (known !== undefined) {
    throw new ModelError("not_onnx", `the file is ${known.what}, not an ONNX model; ${known.instead}`);
  }
  const tag = varintAt(head, 0)?.[0] ?? 0;
  const field = Math.floor(tag / 8);
  const wireType = VARINTS.has(field) ? WireType.VARINT : WireType.BYTES;
  if (!KNOWN.has(field) || tag % 8 !== wireType) {
    throw new ModelError(
      "not_onnx",
      "the file is not an ONNX model: it does not start with a field of ModelProto; upload the .onnx file itself",
    );
  }
}
