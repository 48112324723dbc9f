import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** Compiles the AssemblyScript kernels, where the WASM file is missing or older than a source. */
const pathOf = (path: string) => join(import.meta.dirname, "..", path);
const folder = "src/kernels/wasm/assembly";
const output = pathOf("src/kernels/wasm/kernels.wasm");

const sources = readdirSync(pathOf(folder)).map((name) => pathOf(`${folder}/${name}`));
const changed = Math.max(...[...sources, import.meta.filename].map((path) => statSync(path).mtimeMs));
const built = statSync(output, { throwIfNoEntry: false })?.mtimeMs ?? 0;

if (built < changed) {
  const options = ["-O3", "--noAssert", "--runtime", "stub", "--enable", "simd", "--enable", "relaxed-simd"];
  const asc = pathOf("node_modules/assemblyscript/bin/asc.js");
  const run = spawnSync(process.execPath, [asc, pathOf(`${folder}/index.ts`), "-o", output, ...options], {
    stdio: "inherit",
  });
  process.exitCode = run.status ?? 1;
}
