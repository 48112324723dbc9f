import type { Tensor } from "../../../onnx/model.ts";
import { type Bytes, byteLength, load, slice } from "../../../onnx/source.ts";
import { NEWEST_OPSET, type Pass } from "../pass.ts";
import type { Scope } from "../scope.ts";

const CHUNK_BYTES = 64 * 1024;

/** Of tensors that may be equal the ends are looked at first: only if those agree is everything read. */
const END_BYTES = 4 * 1024;

/** Equal initializers of one graph become one. They are compared by hash, then byte by byte, in small ranges. */
export const deduplicate: Pass = {
  name: "deduplicate",
  exact: true,
  opsets: [1, NEWEST_OPSET],
  async run(scope) {
    const tensors = Array.from(scope.initializers(), ([, tensor]) => tensor).filter(
      (tensor) => bytesOf(tensor) && !scope.isInput(tensor.name),
    );
    const shaped = groupsOf(tensors, ({ dataType, dims, data }, bytes) =>
      JSON.stringify([dataType, dims, data.kind, byteLength(bytes)]),
    );
    let changes = 0;
    for (const sameShape of await shaped) {
      const ends = await groupsOf(sameShape, (_, bytes) => {
        const length = byteLength(bytes);
        return hashOf(slice(bytes, Math.max(0, length - END_BYTES), length));
      });
      for (const sameEnd of ends) {
        for (const sameHash of await groupsOf(sameEnd, (_, bytes) => hashOf(bytes))) {
          changes += await unify(scope, sameHash);
        }
      }
    }
    return changes;
  },
};

/** Groups of two tensors or more with the same key. */
async function groupsOf(
  tensors: readonly Tensor[],
  keyOf: (tensor: Tensor, bytes: Bytes) => unknown,
): Promise<Tensor[][]> {
  const groups = new Map<unknown, Tensor[]>();
  for (const tensor of tensors) {
    const key = await keyOf(tensor, bytesOf(tensor)!);
    const group = groups.get(key);
    if (group) group.push(tensor);
    else groups.set(key, [tensor]);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}

/** Lets the first tensor stand for those that are equal to it. */
async function unify(scope: Scope, [kept, ...others]: readonly Tensor[]): Promise<number> {
  let changes = 0;
  for (const tensor of others) {
    // An output of the graph keeps the tensor of its name.
    if (scope.isOutput(tensor.name) || !(await equal(bytesOf(kept!)!, bytesOf(tensor)!))) continue;
    if (!scope.redirect(tensor.name, kept!.name)) continue;
    scope.removeInitializer(tensor.name);
    changes++;
  }
  return changes;
}

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
