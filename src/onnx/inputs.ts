import type { Dim, Model, ValueInfo } from "./model.ts";

/** A tensor that callers feed. */
export interface TensorInput {
  readonly name: string;
  /** DataType code; 0 where none is declared. */
  readonly dataType: number;
  /** null: not even the rank is declared. */
  readonly shape: readonly Dim[] | null;
}

/** Inputs of the model that have no initializer, so that they have to be fed. */
export function fedInputs(model: Model): readonly ValueInfo[] {
  const given = new Set(model.graph.initializers.map(({ name }) => name));
  for (const { values } of model.graph.sparseInitializers) given.add(values.name);
  return model.graph.inputs.filter(({ name }) => !given.has(name));
}

/** Of these the tensors, with what is declared of them. */
export function tensorInputs(model: Model): TensorInput[] {
  return fedInputs(model).flatMap(({ name, type }) =>
    type?.kind === "tensor" ? [{ name, dataType: type.dataType, shape: type.shape ?? null }] : [],
  );
}
