#!/usr/bin/env node
// The command's entry, in plain JavaScript so that any Node can read it: the rest of the CLI is TypeScript and
// needs Node 22.18, which the project brings along as an npm package.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BUNDLE, isBundled } from "./bundle.mjs";

/**
 * For glibc, which reads them when a process starts. Otherwise it keeps what is freed: it raises the size from which an array is mapped
 * by itself, and so unmapped at once, to that of the largest one that was freed, and it has an arena a thread.
 */
const MALLOC = { MALLOC_ARENA_MAX: "1", MALLOC_MMAP_THRESHOLD_: "32768", MALLOC_TRIM_THRESHOLD_: "131072" };

/** MB for a thread's new objects, three times: V8 takes 16 as it works. What is large here are arrays beside its heap. */
const V8_FLAGS = ["--max-semi-space-size=2"];

/** Commands that hold weights; the others are done as soon as a process has started anew. */
const LARGE = ["compress", "verify"];

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const root = fileURLToPath(new URL("../..", import.meta.url));
// Bundled it starts sooner, and no thread takes the megabytes that reading TypeScript costs.
const main = new URL(isBundled(root) ? `../../${BUNDLE}/main.js` : "main.ts", import.meta.url);
const args = process.argv.slice(2);
const command = [fileURLToPath(main), ...args];

const isTuned =
  process.platform === "linux" &&
  LARGE.includes(args[0] ?? "") &&
  !Object.keys(process.env).some((name) => name.startsWith("MALLOC_"));
const env = isTuned ? { ...process.env, ...MALLOC } : process.env;
const flags = isTuned ? V8_FLAGS : [];

if (!existsSync(`${root}/node_modules/commander`)) {
  console.error(`hone: its packages are not installed; run \`npm ci\` in ${root}`);
  process.exitCode = 1;
} else if (major > 22 || (major === 22 && minor >= 18)) {
  const node = process.execPath;
  // In this process's place, so that signals, pipes and the exit code stay the command's own. Some Node 23 cannot.
  if (isTuned) process.execve?.(node, [node, ...flags, ...process.execArgv, ...command], env);
  await import(main.href);
} else {
  const node = `${root}/node_modules/.bin/node`;
  if (existsSync(node)) {
    const run = spawnSync(node, [...flags, ...command], { stdio: "inherit", env });
    process.exitCode = run.status ?? 1;
  } else {
    console.error(
      `hone: Node ${process.versions.node} is too old, 22.18 is needed; run \`npm ci\` in ${root}, which brings it`,
    );
    process.exitCode = 1;
  }
}
