import { TargetUnreachableError } from "../compress/allocate/search.ts";
import { UnknownLayerError, UnsupportedRecipeError } from "../compress/errors.ts";
import { SamplesError } from "../evaluate/samples-error.ts";
import { ModelError } from "../onnx/errors.ts";
import { MixError, ZooError } from "../partition/errors.ts";
import { RuntimeLoadError, RuntimeRunError } from "../runtime/errors.ts";

/** What a caller is told of a job that cannot succeed. */
export type Failure = {
  readonly code: string;
  readonly message: string;
  /** The field of the request that is wrong, where it is one: a JSON pointer. */
  readonly pointer?: string;
};

/** A step has failed in a way that a retry would not change. */
export class JobFailure extends Error {
  override name = "JobFailure";
  readonly code: string;

  constructor(failure: Failure) {
    super(failure.message);
    this.code = failure.code;
  }
}

/** The job was canceled or deleted while it ran. */
export class JobEndedError extends Error {
  override name = "JobEndedError";
}

/** Causes that lie in what the caller has sent. Null for everything else: that is ours, and worth a retry. */
export function failureOf(error: unknown): Failure | null {
  if (error instanceof JobFailure) return { code: error.code, message: error.message };
  if (error instanceof ModelError) return { code: `model_${error.code}`, message: error.message };
  if (error instanceof SamplesError) return { code: `samples_${error.code}`, message: error.message };
  if (error instanceof MixError) {
    return { code: `mix_${error.code}`, message: error.message, pointer: `/mix${error.pointer}` };
  }
  if (error instanceof ZooError)
    return { code: "unknown_zoo_model", message: error.message, pointer: "/model" };
  if (error instanceof UnsupportedRecipeError) {
    return { code: "recipe_unsupported", message: error.message, pointer: `/recipe${error.pointer}` };
  }
  if (error instanceof UnknownLayerError) {
    return { code: "recipe_unknown_layer", message: error.message, pointer: `/recipe${error.pointer}` };
  }
  if (error instanceof TargetUnreachableError) return { code: "target_unreachable", message: error.message };
  if (error instanceof RuntimeLoadError) return { code: "model_not_loadable", message: error.message };
  if (error instanceof RuntimeRunError) return { code: "model_not_runnable", message: error.message };
  return null;
}
