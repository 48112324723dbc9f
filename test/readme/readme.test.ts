import { type ChildProcess, spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { Report } from "../../schemas/report.ts";
import { KEYWORDS } from "../cli/run.ts";
import { npy, npz } from "../evaluate/files.ts";
import { ROOT } from "../models/shared.ts";

// Runs what the README tells a reader to run, as it stands there: only the port and the key are put in.

const README = readFileSync(join(ROOT, "README.md"), "utf8");

/** Code blocks below a heading. */
function blocks(heading: string, language: string): string[] {
  const section = README.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? "";
  return [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, found, code]) =>
    found === language ? [code!] : [],
  );
}

/** Inside the checkout, where `npx hone` and `import "hone"` find the package; git ignores it. */
let cwd: string;
let start: ChildProcess;
let port: number;
let key: string;

beforeAll(async () => {
  mkdirSync(join(ROOT, "out"), { recursive: true });
  cwd = mkdtempSync(join(ROOT, "out/readme-"));
  copyFileSync(KEYWORDS, join(cwd, "model.onnx"));
  const noise = Float32Array.from({ length: 4 * 16 * 96 }, (_, i) => Math.sin(i * i));
  writeFileSync(join(cwd, "samples.npz"), npz({ x: npy("<f4", [4, 16, 96], noise) }));
  port = await freePort();
  start = spawn("npm", ["start", "--", "--port", String(port), "--state", join(cwd, "state")], {
    cwd: ROOT,
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  key = await new Promise<string>((resolve, reject) => {
    let said = "";
    start.stdout!.on("data", (chunk) => {
      said += String(chunk);
      const printed = /hone_sk_[0-9a-z]{40}/.exec(said);
      if (printed) resolve(printed[0]);
    });
    start.once("exit", () => reject(new Error(`npm start ended: ${said}`)));
  });
}, 180_000);

afterAll(async () => {
  const ended = new Promise((resolve) => start.once("exit", resolve));
  process.kill(-start.pid!, "SIGINT");
  await ended;
  rmSync(cwd, { recursive: true, force: true });
  await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow("fetch failed");
}, 60_000);

/** Runs a script in the shell of the reader, who stops at the first error. */
async function run(
  command: string,
  args: string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(command, args, { cwd, env: { ...process.env, HONE_API_KEY: key, HONE_API_URL: "" } });
  const [code, stdout, stderr] = await Promise.all([
    new Promise<number>((resolve) => child.once("close", resolve)),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

const sh = (script: string) => run("sh", ["-euc", script]);
const here = (code: string) =>
  code.replaceAll("127.0.0.1:8787", `127.0.0.1:${port}`).replace("hone_sk_…", key);

describe("README", () => {
  test("the set-up commands are scripts of the package", () => {
    const [commands] = README.match(/^```sh\n(.*?)^```$/ms)!;
    const scripts = [...commands.matchAll(/^npm (?:run )?(\w+)/gm)].map(([, name]) => name);
    expect(scripts).toEqual(["demo", "test"]);
    expect(Object.keys(manifest.scripts)).toEqual(
      expect.arrayContaining(["demo", "predemo", "test", "pretest", "start", "prestart"]),
    );
  });

  test("HTTP", async () => {
    const [block] = blocks("HTTP", "sh");
    const { code, stdout, stderr } = await sh(here(block!));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain('"status":"succeeded"');
    expect(stdout).toContain('"baselines"');
    const small = readFileSync(join(cwd, "small.onnx"));
    expect(small.byteLength).toBeLessThan(0.6 * readFileSync(KEYWORDS).byteLength);
    // ModelProto begins with its IR version.
    expect(small[0]).toBe(8);
  });

  test("SDK", async () => {
    const [block] = blocks("SDK", "ts");
    writeFileSync(join(cwd, "sdk.ts"), here(block!));
    const { code, stdout, stderr } = await run(process.execPath, ["sdk.ts"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^succeeded \d+ \{/m);
  });

  test("Command line", async () => {
    const [block] = blocks("Command line", "sh");
    const lines = block!.trim().split("\n");
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) {
      const { code, stdout, stderr } = await sh(line);
      expect({ line, code, stderr }).toMatchObject({ code: 0 });
      if (line.includes("--json")) Report.parse(JSON.parse(stdout).report);
      else expect(stdout).not.toBe("");
    }
    expect(existsSync(join(cwd, "report.html"))).toBe(true);
  }, 300_000);

  test("the demo on one's own model", async () => {
    const [, command] = /`(npm run demo -- path\/to\/model\.onnx [^`]*)`/.exec(README)!;
    const { code, stdout } = await sh(
      `${command!.replace("path/to/model.onnx", KEYWORDS)} --out ${cwd}/demo`,
    );
    expect(code).toBe(0);
    expect(stdout).toContain("webhook compression.succeeded received, its signature is right");
    expect(stdout).toContain("data parallel");
    for (const name of ["artifact.onnx", "report.json", "report.html", "plan.json", "plan.svg"]) {
      expect(existsSync(join(cwd, "demo", name))).toBe(true);
    }
  }, 180_000);

  test("Deployment names what wrangler.toml names, and its key script writes SQL without the key", async () => {
    const [block] = blocks("Deployment", "sh");
    const config = readFileSync(join(ROOT, "wrangler.toml"), "utf8");
    for (const [, name] of block!.matchAll(/ create (\S+)/g)) expect(config).toContain(`"${name}"`);
    const [, script] = /^node (\S+) production/m.exec(block!)!;
    const made = await run(process.execPath, [join(ROOT, script!), "production"]);
    expect(made.code).toBe(0);
    const [shown] = /hone_sk_[0-9a-z]{40}/.exec(made.stderr)!;
    expect(made.stdout).toMatch(/^INSERT .* INTO accounts .*'production'/);
    expect(made.stdout).not.toContain(shown);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address ? address.port : 0;
}
