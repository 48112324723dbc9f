import type { Form } from "./forms/form.ts";
import { formWork, workMacs, workTime } from "./forms/work.ts";
import type { LayerFacts } from "./layer-facts.ts";

/** Bytes that a further node takes in the file, with names and attributes. Rounded up. */
export const NODE_BYTES = 80;

/** What one run of a layer takes; null where it is not known. */
export interface LayerCost {
  readonly macs: number | null;
  /** Predicted, ms. */
  readonly time: number | null;
}

export function costOf({ target }: LayerFacts, form: Form): LayerCost {
  if (target === null) return { macs: null, time: null };
  const work = formWork(form, target);
  return { macs: workMacs(work), time: workTime(work) };
}
