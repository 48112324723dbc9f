import { readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const FILE = join(resolve(dirname(fileURLToPath(import.meta.url)), ".."), "BENCHMARKS.md");

const PREAMBLE = `# Benchmarks

Each section is written by the script that it names; run it to measure again.
`;

/**
 * Puts a section into BENCHMARKS.md, in place of the one of that name or at the end.
 * @param name stays between the markers, so that the script finds its section again
 * @param text markdown, with its own heading
 */
export async function writeSection(name: string, text: string): Promise<void> {
  const before = await readFile(FILE, "utf8").catch(() => PREAMBLE);
  await writeFile(FILE, withSection(before, name, text));
}

/** The document with the section replaced or added. */
export function withSection(document: string, name: string, text: string): string {
  const [start, end] = [`<!-- ${name}: start -->`, `<!-- ${name}: end -->`];
  const section = `${start}\n\n${text.trim()}\n\n${end}`;
  const [from, to] = [document.indexOf(start), document.indexOf(end)];
  if (from < 0 || to < from) return `${document.trimEnd()}\n\n${section}\n`;
  return document.slice(0, from) + section + document.slice(to + end.length);
}

/** A markdown table; numbers stand to the right. */
export function markdownTable(
  headers: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const right = headers.map((_, column) => rows.length > 0 && rows.every((row) => isNumeric(row[column])));
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  return [line(headers), line(right.map((r) => (r ? "---:" : "---"))), ...rows.map(line)].join("\n");
}

function isNumeric(cell: string | number | undefined): boolean {
  return typeof cell === "number" || /^[\d,. ]+/.test(cell ?? "");
}
