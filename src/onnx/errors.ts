/** Why a file is not a model that Hone can work on: one code a cause. */
export type ModelErrorCode =
  // the bytes
  | "empty"
  | "not_onnx"
  | "truncated"
  | "malformed_field"
  | "wrong_wire_type"
  | "length_out_of_bounds"
  | "duplicate_field"
  | "invalid_utf8"
  | "nesting_too_deep"
  | "too_many_items"
  | "skeleton_too_large"
  | "too_large_to_write"
  // the model
  | "missing_graph"
  | "unsupported_ir_version"
  | "missing_opset"
  | "unsupported_opset"
  // the graph
  | "cyclic_graph"
  | "dangling_input"
  | "dangling_output"
  | "duplicate_value"
  | "duplicate_tensor"
  | "duplicate_node"
  // tensors
  | "invalid_attribute"
  | "unknown_data_type"
  | "ambiguous_tensor_data"
  | "wrong_data_field"
  | "shape_bytes_mismatch"
  | "dimension_overflow"
  | "invalid_sparse_tensor"
  // external data
  | "external_data_missing"
  | "external_data_path"
  | "external_data_invalid"
  | "external_data_out_of_bounds"
  // archives
  | "archive_malformed"
  | "archive_unsupported"
  | "archive_entry_name"
  | "archive_too_large"
  | "archive_without_model"
  | "archive_with_several_models";

/** The model cannot be used; the message says what is wrong with it and what to do. */
export class ModelError extends Error {
  readonly code: ModelErrorCode;

  constructor(code: ModelErrorCode, message: string) {
    super(message);
    this.name = "ModelError";
    this.code = code;
  }
}
