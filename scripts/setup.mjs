// Installs the project's packages, Node 22 among them, when they are missing or when the lockfile has changed.
// Plain JavaScript, because it runs on whatever Node the machine has (20 or newer) before anything is installed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const stamp = `${root}node_modules/.hone-lock`;
const lock = createHash("sha256")
  .update(readFileSync(`${root}package-lock.json`))
  .digest("hex");
const installed = existsSync(stamp) ? readFileSync(stamp, "utf8") : "";

if (installed !== lock) {
  console.error("Installing packages (once; about a minute with a warm npm cache) …");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  if (npm.status !== 0) {
    console.error("`npm ci` failed; its messages are above. Run it by hand, then try again.");
    process.exit(npm.status ?? 1);
  }
  writeFileSync(stamp, lock);
}
