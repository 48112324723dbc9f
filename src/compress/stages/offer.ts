import type { BasisForm, ChainForm } from "../treatment.ts";

/** A form that layers of a stage may take together. */
export interface StageOffer {
  readonly form: BasisForm;
  /** Names of those that it makes smaller, and not slower. */
  readonly layers: readonly string[];
  /** The first factor that they share, rank × columns, row major. */
  readonly basis: Float32Array;
}

/** @throws RangeError where the form is none of those offered */
export function offerOf(offers: readonly StageOffer[], form: ChainForm): StageOffer {
  const key = JSON.stringify(form);
  const offer = offers.find((one) => JSON.stringify(one.form) === key);
  if (!offer) throw new RangeError(`the layer's stage does not offer the form ${key}`);
  return offer;
}
