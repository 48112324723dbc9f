import { extname, join } from "node:path";

/** Where a script of this folder lies: TypeScript in the sources, JavaScript in the bundle. */
export function scriptFile(name: string): string {
  return join(import.meta.dirname, name + extname(import.meta.filename));
}
