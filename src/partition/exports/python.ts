/** A Python string literal: JSON's escapes are Python's too. */
export function pythonString(text: string): string {
  return JSON.stringify(text);
}

/** A comment of one line, whatever a model's names hold. */
export function pythonComment(text: string): string {
  return `# ${text.replace(/\p{Cc}+/gu, " ")}`;
}

/** A tuple, also of one element. */
export function pythonTuple(items: readonly string[]): string {
  return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`;
}
