// What hone.mjs and the build know of the bundled command, in plain JavaScript so that any Node can read it.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** Folder of the bundle in a checkout; as deep as the sources, for what looks for files by its own place. */
export const BUNDLE = "dist/cli";

/** What a bundle was made of, written beside it: path, size and time of each file. */
export const STAMP = "sources.json";

/**
 * Whether a checkout has a bundle of its sources as they are now. Size and time of each file have to be the same, not just
 * older than the bundle: a file that is moved into another's place keeps its time.
 * @param {string} root
 * @returns {boolean}
 */
export function isBundled(root) {
  try {
    /** @type {[path: string, size: number, time: number][]} */
    const sources = JSON.parse(readFileSync(join(root, BUNDLE, STAMP), "utf8"));
    return sources.every(([path, size, time]) => {
      const found = statSync(join(root, path));
      return found.size === size && found.mtimeMs === time;
    });
  } catch {
    // No bundle, one that is being made, or a source that is gone.
    return false;
  }
}
