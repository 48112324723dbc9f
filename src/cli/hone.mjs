#!/usr/bin/env node
// The command's entry, in plain JavaScript so that any Node can read it: the rest of the CLI is TypeScript and
// needs Node 22.18, which the project brings along as an npm package.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const main = fileURLToPath(new URL("main.ts", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));

if (!existsSync(`${root}/node_modules/commander`)) {
  console.error(`hone: its packages are not installed; run \`npm ci\` in ${root}`);
  process.exitCode = 1;
} else if (major > 22 || (major === 22 && minor >= 18)) {
  await import("./main.ts");
} else {
  const node = `${root}/node_modules/.bin/node`;
  if (existsSync(node)) {
    const run = spawnSync(node, [main, ...process.argv.slice(2)], { stdio: "inherit" });
    process.exitCode = run.status ?? 1;
  } else {
    console.error(
      `hone: Node ${process.versions.node} is too old, 22.18 is needed; run \`npm ci\` in ${root}, which brings it`,
    );
    process.exitCode = 1;
  }
}
