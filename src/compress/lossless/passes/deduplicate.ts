import type { Tensor } from "../../../onnx/model.ts";
import { type Bytes, byteLength, load, slice } from "../../../onnx/source.ts";
import { NEWEST_OPSET, type Pass } from "../pass.ts";

const CHUNK_BYTES = 64 * 1024;

/** Equal initializers of one graph become one. They are compared by hash, then byte by byte, in small ranges. */
export const deduplicate: Pass = {
  name: "deduplicate",
  opsets: [1, NEWEST_OPSET],
  async run(scope) {
    const groups = new Map<string, Tensor[]>();
    for (const [name, tensor] of scope.initializers()) {
      const bytes = bytesOf(tensor);
      if (!bytes || scope.isInput(name)) continue;
      const key = JSON.stringify([tensor.dataType, tensor.dims, tensor.data.kind, byteLength(bytes)]);
      const group = groups.get(key);
      if (group) group.push(tensor);
      else groups.set(key, [tensor]);
    }
    let changes = 0;
    for (const group of groups.values()) {
      if (group.length < 2) continue;
      const kept = new Map<number, Tensor[]>();
      for (const tensor of group) {
        const hash = await hashOf(bytesOf(tensor)!);
        const candidates = kept.get(hash) ?? [];
        kept.set(hash, candidates);
        let same: Tensor | undefined;
        for (const candidate of candidates) {
          if (await equal(bytesOf(candidate)!, bytesOf(tensor)!)) {
            same = candidate;
            break;
          }
        }
        // An output of the graph keeps the tensor of its name.
        if (same && !scope.isOutput(tensor.name) && scope.redirect(tensor.name, same.name)) {
          scope.removeInitializer(tensor.name);
          changes++;
        } else candidates.push(tensor);
      }
    }
    return changes;
  },
};

function bytesOf({ data }: Tensor): Bytes | null {
  if (data.kind === "raw" || data.kind === "typed") return data.bytes;
  return data.kind === "external" ? data.span : null;
}

/** FNV-1a over the bytes. */
async function hashOf(bytes: Bytes): Promise<number> {
  let hash = 0x811c9dc5;
  for await (const chunk of chunksOf(bytes)) {
    for (let i = 0; i < chunk.length; i++) hash = Math.imul(hash ^ chunk[i]!, 0x01000193);
  }
  return hash;
}

async function equal(a: Bytes, b: Bytes): Promise<boolean> {
  const others = chunksOf(b);
  for await (const chunk of chunksOf(a)) {
    const { value: other } = await others.next();
    if (!other || other.length !== chunk.length) return false;
    for (let i = 0; i < chunk.length; i++) if (chunk[i] !== other[i]) return false;
  }
  return true;
}

async function* chunksOf(bytes: Bytes): AsyncGenerator<Uint8Array, undefined> {
  for (let at = 0; at < byteLength(bytes); at += CHUNK_BYTES) {
    yield await load(slice(bytes, at, Math.min(at + CHUNK_BYTES, byteLength(bytes))));
  }
}
