/** The runtime refused the model: not ONNX it knows, an operator without kernel, or not enough memory. */
export class RuntimeLoadError extends Error {
  override readonly name = "RuntimeLoadError";
}

/** The model was loaded but failed on these inputs. */
export class RuntimeRunError extends Error {
  override readonly name = "RuntimeRunError";
}

/** The runtime itself could not be started; this process or isolate cannot run models any more. */
export class RuntimeInitError extends Error {
  override readonly name = "RuntimeInitError";
}
