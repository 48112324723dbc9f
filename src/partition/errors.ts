/** Why a mix cannot be planned for; one code a cause. */
export type MixErrorCode =
  | "empty"
  | "too_many_entries"
  | "too_many_devices"
  | "bad_syntax"
  | "bad_count"
  | "unknown_accelerator"
  | "bad_figure"
  /** The objective asks for a figure that an accelerator of the mix does not declare. */
  | "missing_figure";

/** A mix that makes no sense. `pointer` is a JSON pointer into the mix, `suggestions` the nearest names. */
export class MixError extends Error {
  override readonly name = "MixError";
  readonly code: MixErrorCode;
  readonly pointer: string;
  readonly suggestions: readonly string[];

  constructor(code: MixErrorCode, message: string, pointer = "", suggestions: readonly string[] = []) {
    super(message);
    this.code = code;
    this.pointer = pointer;
    this.suggestions = suggestions;
  }
}

/** A name that the zoo does not have; the message lists those that it has. */
export class ZooError extends Error {
  override readonly name = "ZooError";
  readonly model: string;

  constructor(model: string, known: readonly string[]) {
    super(`the zoo has no "${model}"; it has ${known.join(", ")}`);
    this.model = model;
  }
}
