import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";
import { BUNDLE, isBundled, STAMP } from "../src/cli/bundle.mjs";

/** Bundles the command line to JavaScript, where there is no bundle or a source has changed since. */
const ROOT = join(import.meta.dirname, "..");
/** The command, and what it starts as threads and processes of their own. */
const ENTRIES = ["main", "layer-thread", "prepare-state"];
const KERNELS = "src/kernels/wasm/kernels.wasm";

if (!isBundled(ROOT)) {
  const bundle = join(ROOT, BUNDLE);
  mkdirSync(dirname(bundle), { recursive: true });
  // Beside the last one, which it replaces when it is complete.
  const folder = mkdtempSync(`${bundle}-`);
  try {
    await bundleInto(folder);
    rmSync(bundle, { recursive: true, force: true });
    renameSync(folder, bundle);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function bundleInto(folder: string): Promise<void> {
  const began = Date.now();
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRIES.map((name) => `src/cli/${name}.ts`),
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    packages: "external",
    metafile: true,
    logLevel: "warning",
  });
  copyFileSync(join(ROOT, KERNELS), join(folder, "kernels.wasm"));
  const sources = [...Object.keys(metafile.inputs), KERNELS, relative(ROOT, import.meta.filename)];
  const seen = sources.map((path) => {
    const { size, mtimeMs } = statSync(join(ROOT, path));
    // What is written meanwhile may have been read before: no file has this time then, and the bundle is made again.
    return [path, size, Math.min(mtimeMs, began)];
  });
  writeFileSync(join(folder, STAMP), JSON.stringify(seen));
}
