import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { openArchive } from "../../src/onnx/archive.ts";
import { readModel } from "../../src/onnx/read.ts";
import { bytesSource } from "../../src/onnx/source.ts";
import { readTensor } from "../../src/onnx/tensor.ts";
import { bytes, floats, tar, text, tinyExternalModel, tinyModel, zipClaiming } from "./bytes.ts";
import { codeOf, counted } from "./check.ts";

const open = (archive: Uint8Array) => openArchive(bytesSource(archive));
const files = { "model.onnx": tinyExternalModel, "weights.bin": floats(5, 6) };

describe("a model with external data opens from", () => {
  test.each([
    ["a stored zip", zipSync(files, { level: 0 })],
    ["a deflated zip", zipSync(files, { level: 9 })],
    ["a zip of a folder", zipSync({ net: { ...files, "notes.txt": bytes() }, "other.txt": bytes() })],
    [
      "a zip made on macOS",
      zipSync({ ...files, __MACOSX: { "._model.onnx": bytes([1]) }, "._model.onnx": bytes([1]) }),
    ],
    ["a zip with a comment", zipSync(files, { comment: "made by hand" })],
    ["a tar", tar(files)],
    [
      "a tar of a folder",
      tar({ "./net/model.onnx": files["model.onnx"], "./net/weights.bin": files["weights.bin"] }),
    ],
  ])("%s", async (_name, archive) => {
    const { main, external } = await open(archive);
    const { graph } = await readModel(main, { external });
    expect((await readTensor(graph.initializers[0]!)).data).toEqual(Float32Array.of(5, 6));
  });

  test("a file that is no archive is the model itself", async () => {
    const source = bytesSource(tinyModel);
    expect(await openArchive(source)).toEqual({ main: source, external: new Map() });
  });
});

describe("entries", () => {
  const large = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) >> 8);

  test("stored ones are ranges of the archive, none of them read in advance", async () => {
    const source = counted(bytesSource(zipSync({ "model.onnx": tinyModel, "w.bin": large }, { level: 0 })));
    const { external } = await openArchive(source);
    expect(source.bytesRead).toBeLessThan(70_000);
    expect(await external.get("w.bin")!.read(1000, 10)).toEqual(large.slice(1000, 1010));
  });

  test("deflated ones can be read forwards, backwards and at once", async () => {
    const { external } = await open(zipSync({ "model.onnx": tinyModel, "w.bin": large }, { level: 6 }));
    const source = external.get("w.bin")!;
    const at = [200_000, 10, 299_990, 0, 0, 150_000];
    const read = await Promise.all(at.map((offset) => source.read(offset, 10)));
    expect(read).toEqual(at.map((offset) => large.slice(offset, offset + 10)));
    expect(await source.read(0, large.length)).toEqual(large);
    await expect(source.read(299_995, 10)).rejects.toThrow(RangeError);
  });

  test("a damaged deflated entry is found when it is read", async () => {
    const archive = zipSync({ "model.onnx": tinyModel, "w.bin": large }, { level: 6 });
    archive[archive.length - 5000]! ^= 0xff;
    const { external } = await open(archive);
    expect(await codeOf(external.get("w.bin")!.read(0, large.length))).toBe("archive_malformed");
  });

  test("one that unpacks to more than it states is stopped", async () => {
    const bomb = zipSync({ "model.onnx": tinyModel, "w.bin": new Uint8Array(5_000_000) }, { level: 9 });
    const { external } = await open(zipClaiming(bomb, 100));
    expect(await codeOf(external.get("w.bin")!.read(0, 100))).toBe("archive_malformed");
  });
});

describe("refused", () => {
  const pax = (records: string) => {
    const header = tar({ pax: new TextEncoder().encode(records) }, "x").slice(0, 1024);
    return bytes(header, tar({ short: tinyModel }));
  };

  test.each([
    [
      "more entries than allowed",
      zipSync({ "model.onnx": tinyModel, a: bytes(), b: bytes() }),
      { entries: 2 },
      "archive_too_large",
    ],
    [
      "more bytes than allowed",
      tar({ "model.onnx": tinyModel, a: floats(1, 2) }),
      { unpackedBytes: 100 },
      "archive_too_large",
    ],
    ["an absolute name", zipSync({ "/model.onnx": tinyModel }), {}, "archive_entry_name"],
    ["a name that goes up", zipSync({ "a/../../model.onnx": tinyModel }), {}, "archive_entry_name"],
    ["a drive letter", tar({ "C:/model.onnx": tinyModel }), {}, "archive_entry_name"],
    ["a backslash", tar({ "a\\model.onnx": tinyModel }), {}, "archive_entry_name"],
    ["a link", tar({ "model.onnx": bytes() }, "2"), {}, "archive_unsupported"],
    ["a tar without its end", tar({ "model.onnx": tinyModel }).slice(0, -1024), {}, "archive_malformed"],
    [
      "a tar cut in an entry",
      tar({ "model.onnx": new Uint8Array(2000) }).slice(0, 1024),
      {},
      "archive_malformed",
    ],
    [
      "a zip without its directory",
      zipSync({ "model.onnx": tinyModel }).slice(0, 40),
      {},
      "archive_malformed",
    ],
    [
      "an impossible size",
      zipClaiming(zipSync({ "model.onnx": tinyModel }, { level: 0 }), 7),
      {},
      "archive_malformed",
    ],
    ["nothing in it", zipSync({}), {}, "archive_without_model"],
  ] as const)("%s", async (_name, archive, limits, code) => {
    expect(await codeOf(openArchive(bytesSource(archive), limits))).toBe(code);
  });

  test("pax names are taken, damaged pax headers refused", async () => {
    const { main } = await open(pax("20 path=sub/net.onnx\n".replace("20", "21")));
    expect(main.size).toBe(tinyModel.length);
    expect(await codeOf(open(pax("99 path=net.onnx\n")))).toBe("archive_malformed");
  });

  test("two entries that share their bytes", async () => {
    const archive = zipSync({ "model.onnx": tinyModel, "a.bin": text(1, "a") }, { level: 0 });
    const view = new DataView(archive.buffer);
    const first = view.getUint32(archive.length - 6, true);
    const second = first + 46 + view.getUint16(first + 28, true);
    view.setUint32(second + 42, view.getUint32(first + 42, true), true);
    expect(await codeOf(open(archive))).toBe("archive_malformed");
  });
});
