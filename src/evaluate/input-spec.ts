import type { Dim, Model } from "../onnx/model.ts";

/** What a model says about one of its inputs. */
export interface InputSpec {
  readonly name: string;
  readonly dataType: number;
  /** null where not even the rank is declared. */
  readonly shape: readonly Dim[] | null;
}

/** A model that takes something other than tensors, which cannot be fed. */
export class UnsupportedInputError extends Error {
  override readonly name = "UnsupportedInputError";
}

/**
 * The inputs that a caller has to feed: those of the graph that are no initializers (before IR 4 each weight is
 * an input too).
 * @throws UnsupportedInputError for sequences, maps, optionals and sparse tensors.
 */
export function inputsOf(model: Model): InputSpec[] {
  const { graph } = model;
  const weights = new Set([
    ...graph.initializers.map((tensor) => tensor.name),
    ...graph.sparseInitializers.map((tensor) => tensor.values.name),
  ]);
  return graph.inputs
    .filter((input) => !weights.has(input.name))
    .map(({ name, type }) => {
      if (type?.kind !== "tensor") {
        throw new UnsupportedInputError(
          `input ${JSON.stringify(name)} is no tensor but ${type?.kind ?? "of no declared type"}; the model cannot be run here`,
        );
      }
      return { name, dataType: type.dataType, shape: type.shape ?? null };
    });
}
