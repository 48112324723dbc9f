import { readFileSync, writeFileSync } from "node:fs";
import { peakKiB } from "./peak.mjs";

/** The same with onnxsim and its default options. Its own log goes to stdout, so the figures come last. */
const [input, output, onnxsim] = process.argv.slice(2);
const { simplify } = await import(onnxsim);
const start = performance.now();
const { model } = await simplify(readFileSync(input));
writeFileSync(output, model);
const milliseconds = performance.now() - start;
console.log(`\n${JSON.stringify({ milliseconds, peakKiB: peakKiB() })}`);
process.exit(0);
