import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { simplify } from "../../src/compress/lossless/simplify.ts";
import { readModel } from "../../src/onnx/read.ts";
import type { ByteSource } from "../../src/onnx/source.ts";
import { chunksOf } from "../../src/onnx/source.ts";
import { encodeModel } from "../../src/onnx/write.ts";
import { peakKiB } from "./peak.mjs";

/** Simplifies one file into another: `node hone.mjs in.onnx out.onnx`. Prints milliseconds and peak KiB as JSON. */
const [input, output] = process.argv.slice(2) as [string, string];
const start = performance.now();
const file = openSync(input, "r");
const source: ByteSource = {
  size: fstatSync(file).size,
  async read(offset, length) {
    const bytes = new Uint8Array(length);
    readSync(file, bytes, 0, length, offset);
    return bytes;
  },
};
const { model } = await simplify(await readModel(source));
const target = openSync(output, "w");
for await (const chunk of chunksOf(encodeModel(model))) writeSync(target, chunk);
closeSync(target);
const milliseconds = performance.now() - start;
console.log(JSON.stringify({ milliseconds, peakKiB: peakKiB() }));
