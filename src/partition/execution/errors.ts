/** Why a plan cannot be executed; one code a cause. */
export type ExecutionErrorCode =
  /** The plan is of another model. */
  | "another_model"
  /** Shares and mix do not agree. */
  | "another_mix"
  /** Somebody needs what nobody holds. */
  | "not_held"
  /** A limit of size is passed. */
  | "too_large"
  /** The model has something that cannot be taken apart. */
  | "unsupported";

/** A plan that cannot be executed; the message says what to do. */
export class ExecutionError extends Error {
  override readonly name = "ExecutionError";
  readonly code: ExecutionErrorCode;

  constructor(code: ExecutionErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
