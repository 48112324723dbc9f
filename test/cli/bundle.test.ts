import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { stackModel } from "../jobs/stack-model.ts";
import { ROOT } from "../models/shared.ts";
import { folder } from "./run.ts";

/** Runs a script to its end, which has to be a good one; answers with what it printed. */
function node(args: readonly string[], cwd: string): string {
  return execFileSync(process.execPath, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

const build = (checkout: string) => node(["scripts/build-cli.ts"], checkout);

test("the bundle and the sources give the same artifact, with threads that treat the layers", async () => {
  build(ROOT);
  const cwd = folder();
  // Enough weights for threads.
  writeFileSync(join(cwd, "m.onnx"), await stackModel(4, 384));
  const recipe = ["--recipe", '{"sparsity":{"ratio":0.5},"quantization":{"weights":"int8"}}'];
  const artifactOf = (entry: string) => {
    const output = join(cwd, "out.onnx");
    node([join(ROOT, entry), "compress", "m.onnx", ...recipe, "-o", output], cwd);
    const bytes = readFileSync(output);
    rmSync(output);
    return bytes;
  };
  const bundled = artifactOf("dist/cli/main.js");
  expect(bundled.byteLength).toBeLessThan(statSync(join(cwd, "m.onnx")).size / 3);
  expect(bundled.equals(artifactOf("src/cli/main.ts"))).toBe(true);
});

describe("the command of a checkout", () => {
  const checkout = folder();
  const at = (path: string) => join(checkout, path);
  const MAIN = "src/cli/main.ts";
  const version = () => node([at("src/cli/hone.mjs"), "--version"], checkout);
  /** A bundle that tells when it is run. */
  const bundle = () => {
    build(checkout);
    appendFileSync(at("dist/cli/main.js"), 'console.log("bundle");\n');
  };

  beforeAll(() => {
    for (const path of ["src", "schemas", "scripts/build-cli.ts", "package.json", "tsconfig.json"]) {
      cpSync(join(ROOT, path), at(path), { recursive: true });
    }
    symlinkSync(join(ROOT, "node_modules"), at("node_modules"));
  });

  test("runs the bundle where there is one, the sources where one of them is not what it was made of", () => {
    expect(version()).toBe("0.1.0\n");
    bundle();
    expect(version()).toBe("0.1.0\nbundle\n");
    const { atime, mtime } = statSync(at(MAIN));
    utimesSync(at(MAIN), atime, new Date(mtime.getTime() - 1e6));
    expect(version()).toBe("0.1.0\n");
    bundle();
    expect(version()).toBe("0.1.0\nbundle\n");
    appendFileSync(at("src/kernels/wasm/kernels.wasm"), new Uint8Array(1));
    expect(version()).toBe("0.1.0\n");
    appendFileSync(at(MAIN), 'console.log("changed");\n');
    expect(version()).toBe("0.1.0\nchanged\n");
  });

  test("is bundled again where a source has changed, and only there; nothing is left of the last bundle", () => {
    bundle();
    build(checkout);
    expect(version()).toBe("0.1.0\nchanged\nbundle\n");
    writeFileSync(at("dist/cli/chunk-OLD.js"), "");
    appendFileSync(at(MAIN), 'console.log("again");\n');
    bundle();
    expect(version()).toBe("0.1.0\nchanged\nagain\nbundle\n");
    expect(existsSync(at("dist/cli/chunk-OLD.js"))).toBe(false);
    expect(readdirSync(at("dist"))).toEqual(["cli"]);
  });
});

describe.runIf(process.platform === "linux")("the process of hone compress", () => {
  /** Interrupts it as it works; answers with its environment by then, and how it ended. */
  async function interrupted(env: NodeJS.ProcessEnv) {
    const cwd = folder();
    const tmp = join(cwd, "tmp");
    mkdirSync(tmp);
    writeFileSync(join(cwd, "m.onnx"), await stackModel(4, 384));
    const child = spawn(process.execPath, [join(ROOT, "src/cli/hone.mjs"), "compress", "m.onnx"], {
      cwd,
      env: { ...process.env, HONE_API_URL: "", TMPDIR: tmp, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
    // Its progress.
    await once(child.stderr, "data");
    expect(readdirSync(tmp)).toHaveLength(1);
    const variables = readFileSync(`/proc/${child.pid}/environ`, "utf8").split("\0");
    child.kill("SIGINT");
    return {
      end: await ended,
      left: readdirSync(tmp),
      malloc: variables.filter((one) => one.startsWith("MALLOC_")).toSorted(),
    };
  }

  test("is the one that was started, tells glibc to give memory back, and cleans up at Ctrl-C", async () => {
    expect(await interrupted({})).toEqual({
      end: 130,
      left: [],
      malloc: ["MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=32768", "MALLOC_TRIM_THRESHOLD_=131072"],
    });
  });

  test("leaves the user's own settings of glibc alone", async () => {
    expect(await interrupted({ MALLOC_ARENA_MAX: "4" })).toMatchObject({
      end: 130,
      malloc: ["MALLOC_ARENA_MAX=4"],
    });
  });
});
