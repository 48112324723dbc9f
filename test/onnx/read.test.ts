import { describe, expect, test } from "vitest";
import { intsAttribute } from "../../src/onnx/edit.ts";
import { ORIGIN } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { type ByteSource, bytesSource } from "../../src/onnx/source.ts";
import { readTensor } from "../../src/onnx/tensor.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import {
  bytes,
  fixed32,
  floats,
  graph,
  int,
  message,
  model,
  node,
  tensor,
  text,
  tinyModel,
} from "./bytes.ts";
import { counted } from "./check.ts";

const read = (file: Uint8Array) => readModel(bytesSource(file));

describe("ranged reading", () => {
  /** A model of one large initializer per given size, whose payloads are zeros that nobody stores. */
  function virtualModel(sizes: readonly number[]): ByteSource {
    const tail = bytes(...["x"].map((name) => message(11, text(1, name))), message(12, text(1, "x")));
    const heads = sizes.map((size, i) => {
      const fields = bytes(int(1, size / 4), int(2, 1), text(8, `w${i}`), [0x4a], lengthOf(size));
      return bytes([0x2a], lengthOf(fields.length + size), fields);
    });
    const graphSize =
      heads.reduce((sum, head) => sum + head.length, 0) + sizes.reduce((a, b) => a + b, 0) + tail.length;
    const start = bytes(int(1, 8), message(8, int(2, 13)), [0x3a], lengthOf(graphSize));
    const pieces = [{ at: 0, content: start }];
    let at = start.length;
    heads.forEach((content, i) => {
      pieces.push({ at, content });
      at += content.length + sizes[i]!;
    });
    pieces.push({ at, content: tail });
    return {
      size: at + tail.length,
      async read(offset, length) {
        const out = new Uint8Array(length);
        for (const piece of pieces) {
          for (let i = 0; i < piece.content.length; i++) {
            const to = piece.at + i - offset;
            if (to >= 0 && to < length) out[to] = piece.content[i]!;
          }
        }
        return out;
      },
    };
  }

  const lengthOf = (value: number) => int(1, value).subarray(1);

  test("the skeleton of 4 GiB in 16 tensors takes at most 40 reads and 1 MiB", async () => {
    const source = counted(virtualModel(new Array<number>(16).fill(2 ** 28)));
    const { graph: read } = await readModel(source);
    expect(read.initializers.map(({ dims }) => dims)).toEqual(new Array(16).fill([2 ** 26]));
    expect(source.reads).toBeLessThanOrEqual(40);
    expect(source.bytesRead).toBeLessThanOrEqual(2 ** 20);
  });

  test("payloads of every size around the thresholds are found where they are", async () => {
    const sizes = [4, 1020, 1024, 1028, 4096, 16_384, 60_000, 70_000, 300_000, 8, 1_000_000, 1032];
    const source = virtualModel(sizes);
    const whole = await source.read(0, source.size);
    const { graph: read } = await readModel(source);
    for (const [i, { data, name }] of read.initializers.entries()) {
      expect(name).toBe(`w${i}`);
      if (data.kind !== "raw") throw new Error("expected raw data");
      const at = data.bytes;
      expect(at instanceof Uint8Array ? at.length : at.length).toBe(sizes[i]);
      expect(at instanceof Uint8Array).toBe(sizes[i]! <= 1024);
    }
    expect(Buffer.compare(await modelBytes(await readModel(source)), whole)).toBe(0);
  });

  test("a long attribute that crosses windows is read whole", async () => {
    const long = "λ".repeat(200_000);
    const file = model({ more: [text(10, long)] });
    expect((await read(file)).graph.docString).toBe(long);
  });
});

describe("encodings that protobuf allows", () => {
  test("numbers of a typed field that are not packed are those of the packed field", async () => {
    const unpacked = tensor("w", [3], 1, fixed32(4, 1), fixed32(4, 2), fixed32(4, 3));
    const packed = tensor("w", [3], 1, message(4, floats(1, 2, 3)));
    for (const one of [unpacked, packed]) {
      const { graph: parsed } = await read(model({ initializers: [one] }));
      expect((await readTensor(parsed.initializers[0]!)).data).toEqual(Float32Array.of(1, 2, 3));
    }
  });

  test("a typed field in several large pieces is one", async () => {
    const values = Float32Array.from({ length: 1200 }, (_, i) => i);
    const whole = new Uint8Array(values.buffer);
    const file = model({
      initializers: [
        tensor("w", [1200], 1, message(4, whole.subarray(0, 2400)), message(4, whole.subarray(2400))),
      ],
    });
    const { graph: parsed } = await read(file);
    expect((await readTensor(parsed.initializers[0]!)).data).toEqual(values);
  });

  test("ints of an attribute and dims of a tensor are the same packed and unpacked", async () => {
    const packed = bytes(text(1, "pads"), message(8, bytes([1, 0, 3])), int(20, 7));
    const unpacked = bytes(text(1, "pads"), int(8, 1), int(8, 0), int(8, 3), int(20, 7));
    for (const attribute of [packed, unpacked]) {
      const { graph: parsed } = await read(model({ nodes: [node("Pad", ["x"], ["y"], attribute)] }));
      expect(intsAttribute(parsed.nodes[0]!, "pads", null)).toEqual([1, 0, 3]);
    }
    const file = model({
      initializers: [bytes(message(1, bytes([2])), int(2, 1), message(9, floats(1, 2)))],
    });
    expect((await read(file)).graph.initializers[0]!.dims).toEqual([2]);
  });

  test("fields may come in any order, and lengths may be longer than they have to be", async () => {
    const inner = graph();
    const padded = bytes(
      [0xba, 0x00],
      [0x80 | (inner.length & 0x7f), 0x80 | (inner.length >> 7), 0x00],
      inner,
    );
    const file = bytes(message(8, int(2, 13)), padded, int(1, 8));
    const parsed = await read(file);
    expect(parsed.irVersion).toBe(8);
    expect(parsed.graph.nodes).toHaveLength(1);
    expect(await modelBytes(parsed)).toEqual(file);
    // An edit beside the graph keeps the graph's own header.
    const edited = await modelBytes({ ...parsed, producerName: "hone" });
    expect(Buffer.from(edited).includes(Buffer.from(padded))).toBe(true);
  });

  test("the type of an attribute that does not state it is that of its payload", async () => {
    const attribute = bytes(text(1, "alpha"), fixed32(2, 0.5));
    const { graph: parsed } = await read(model({ nodes: [node("LeakyRelu", ["x"], ["y"], attribute)] }));
    expect(parsed.nodes[0]!.attributes[0]!.value).toEqual({ type: "float", value: 0.5 });
  });

  test("the largest and smallest int64 stay what they are in the file", async () => {
    for (const extreme of [2n ** 63n - 1n, -(2n ** 63n), -1n]) {
      const attribute = bytes(text(1, "axis"), int(3, extreme), int(20, 2));
      const parsed = await read(model({ nodes: [node("Op", ["x"], ["y"], attribute)] }));
      const copy = { ...parsed.graph.nodes[0]!.attributes[0]! };
      const nodes = [{ ...parsed.graph.nodes[0]!, attributes: [copy] }];
      const written = await modelBytes({ ...parsed, graph: { ...parsed.graph, nodes } });
      expect(copy.value).toEqual({ type: "int", value: Number(extreme) });
      expect(Buffer.from(written).includes(Buffer.from(int(3, extreme)))).toBe(true);
    }
  });

  test("text that is not UTF-8 in a string attribute is kept, not read", async () => {
    const attribute = bytes(text(1, "s"), message(4, Uint8Array.of(0xff, 0x00)), int(20, 3));
    const parsed = await read(model({ nodes: [node("Op", ["x"], ["y"], attribute)] }));
    const copy = { ...parsed.graph.nodes[0]!.attributes[0]! };
    expect(copy.value).toEqual({ type: "opaque", code: 3 });
    const nodes = [{ ...parsed.graph.nodes[0]!, attributes: [copy] }];
    const written = await modelBytes({ ...parsed, graph: { ...parsed.graph, nodes } });
    expect(Buffer.from(written).includes(Buffer.from(attribute.subarray(3, 7)))).toBe(true);
  });
});

describe("what an edit does not touch", () => {
  test("unknown fields stay, at every level, large ones unread", async () => {
    const strange = text(99, "strange");
    const large = message(98, new Uint8Array(5000).fill(7));
    const file = bytes(
      model({ more: [strange, large], nodes: [bytes(node("Relu", ["x"], ["y"]), strange)] }),
      strange,
    );
    const source = counted(bytesSource(file));
    const parsed = await readModel(source);
    const nodes = parsed.graph.nodes.map((one) => ({ ...one, name: "named" }));
    const written = Buffer.from(await modelBytes({ ...parsed, graph: { ...parsed.graph, nodes } }));
    expect(written.toString("latin1").split("strange")).toHaveLength(4);
    expect(written.includes(Buffer.from(large))).toBe(true);
  });

  test("origins are lost by copies and do not show", async () => {
    const parsed = await read(tinyModel);
    expect(parsed.graph[ORIGIN]).toBeDefined();
    expect({ ...parsed.graph }[ORIGIN]).toBeUndefined();
    expect(Object.keys(parsed.graph)).not.toContain("origin");
    expect(Object.getOwnPropertySymbols({ ...parsed.graph })).toEqual([]);
  });

  test("an edit of one node keeps the bytes of its neighbours", async () => {
    const parsed = await read(tinyModel);
    const [add, relu] = parsed.graph.nodes;
    const edited = { ...parsed, graph: { ...parsed.graph, nodes: [add!, { ...relu!, opType: "Sigmoid" }] } };
    const written = Buffer.from(await modelBytes(edited));
    expect(written.includes(Buffer.from(message(1, node("Add", ["x", "w"], ["h"]))))).toBe(true);
    expect((await read(written)).graph.nodes.map(({ opType }) => opType)).toEqual(["Add", "Sigmoid"]);
  });
});
