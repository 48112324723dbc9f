/** Reads multi-device annotations by the field numbers of onnx.proto, with a decoder of its own. */
export interface Annotations {
  readonly irVersion: number;
  readonly configurations: readonly { name: string; devices: number; names: readonly string[] }[];
  readonly nodes: readonly { configuration: string; specs: readonly Spec[] }[];
}

interface Spec {
  readonly tensor: string;
  readonly devices: readonly number[];
  readonly groups: Readonly<Record<string, readonly number[]>>;
  readonly axes: readonly { axis: number; shards: number }[];
}

type Value = bigint | Uint8Array;

function fieldsOf(bytes: Uint8Array): Map<number, Value[]> {
  const found = new Map<number, Value[]>();
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    let value: Value;
    if (tag % 8 === 0) value = varint();
    else {
      const length = tag % 8 === 2 ? Number(varint()) : tag % 8 === 5 ? 4 : 8;
      value = bytes.subarray(at, at + length);
      at += length;
    }
    found.set(tag >> 3, [...(found.get(tag >> 3) ?? []), value]);
  }
  return found;
}

export function annotationsOf(bytes: Uint8Array): Annotations {
  const model = fieldsOf(bytes);
  const graph = fieldsOf(model.get(7)?.[0] as Uint8Array);
  return {
    irVersion: int(model.get(1)?.[0]),
    configurations: messages(model.get(26)).map((fields) => ({
      name: text(fields.get(1)?.[0]),
      devices: int(fields.get(2)?.[0]),
      names: (fields.get(3) ?? []).map(text),
    })),
    nodes: messages(graph.get(1)).flatMap((node) =>
      messages(node.get(10)).map((own) => ({
        configuration: text(own.get(1)?.[0]),
        specs: messages(own.get(2)).map(specOf),
      })),
    ),
  };
}

function specOf(fields: Map<number, Value[]>): Spec {
  return {
    tensor: text(fields.get(1)?.[0]),
    devices: ints(fields.get(2)),
    groups: Object.fromEntries(
      messages(fields.get(3)).map((entry) => [String(int(entry.get(1)?.[0])), ints(entry.get(2))]),
    ),
    axes: messages(fields.get(4)).map((dim) => ({
      axis: int(dim.get(1)?.[0]),
      shards: int(fieldsOf(dim.get(2)?.[0] as Uint8Array).get(3)?.[0]),
    })),
  };
}

const messages = (values: readonly Value[] = []) => values.map((value) => fieldsOf(value as Uint8Array));
const int = (value: Value | undefined) => Number(BigInt.asIntN(64, (value as bigint | undefined) ?? 0n));
const text = (value: Value | undefined) => new TextDecoder().decode(value as Uint8Array);

/** Packed or one by one. */
function ints(values: readonly Value[] = []): number[] {
  return values.flatMap((value) => {
    if (!(value instanceof Uint8Array)) return [int(value)];
    const packed = new Uint8Array(value.length * 2);
    let at = 0;
    for (const byte of value) {
      if (at === 0 || (packed[at - 1] as number) < 0x80) packed[at++] = 8;
      packed[at++] = byte;
    }
    return (fieldsOf(packed.subarray(0, at)).get(1) ?? []).map(int);
  });
}
