/** The recipe asks for something that this version does not do. */
export class UnsupportedRecipeError extends Error {
  /** JSON pointer into the recipe. */
  readonly pointer: string;
  constructor(pointer: string, asked: string, supported: readonly string[]) {
    super(`${asked} is unsupported in this version; supported: ${supported.join(", ")}`);
    this.name = "UnsupportedRecipeError";
    this.pointer = pointer;
  }
}

/** The recipe names layers that the model does not have. */
export class UnknownLayerError extends Error {
  readonly pointer: string;
  constructor(pointer: string, pattern: string) {
    super(`no layer is named or matched by ${JSON.stringify(pattern)}; inspect the model for its layers`);
    this.name = "UnknownLayerError";
    this.pointer = pointer;
  }
}
