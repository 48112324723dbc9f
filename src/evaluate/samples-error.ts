/** What can be wrong with a file of sample inputs, one code a cause. */
export type SamplesErrorCode =
  /** Not an .npy file at all, or cut off inside its header. */
  | "not_npy"
  /** A header that is not NumPy's dictionary of descr, fortran_order and shape. */
  | "npy_header"
  /** An element type that no ONNX input takes: objects, records, dates, fixed-width text, complex numbers. */
  | "npy_type"
  /** Not a zip archive, or one whose directory or data is broken. */
  | "not_npz"
  /** An archive entry that is no array. */
  | "npz_entry"
  /** More bytes, once unpacked, than the reader takes. */
  | "too_large"
  /** Not a safetensors file, or cut off inside its header. */
  | "not_safetensors"
  /** A header that is not the safetensors format's, or whose ranges do not cover the bytes exactly. */
  | "safetensors_header"
  /** A shape that overflows or does not fit the bytes. */
  | "array_size"
  | "duplicate_array"
  /** An input of the model that no array serves. */
  | "missing_input"
  /** An array that no input of the model takes. */
  | "unknown_array"
  /** Arrays that disagree on the number of samples, or have none. */
  | "sample_count"
  /** `x#0`, `x#2` without `x#1`, or a suffix that is no number. */
  | "feed_index"
  | "shape_mismatch"
  | "type_mismatch"
  /** A number that the input's type cannot hold. */
  | "value_range"
  /** Labels that are no whole numbers, or not one a sample. */
  | "labels";

/** Sample inputs that cannot be used; the message says what to change. */
export class SamplesError extends Error {
  override readonly name = "SamplesError";
  readonly code: SamplesErrorCode;

  constructor(code: SamplesErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
