import type { Kernels } from "../../kernels/kernels.ts";
import { momentsIn } from "../column-order.ts";
import type { InputMoments } from "../input-moments.ts";
import { innerMoments, reducedMoments } from "../low-rank/reduced-moments.ts";
import { axisFirst } from "../low-rank/spatial.ts";
import type { Form } from "./form.ts";
import type { FormLayer } from "./solution.ts";
import { factorAt, type Stage, stagesOf } from "./stages.ts";

type Moments = readonly (InputMoments | null)[];

/**
 * Makes the factors of a form from the input on, each with the moments of what it multiplies behind those already made,
 * so that factors are pruned and quantised like any weight. Exact for every step behind the first, padding aside; a step
 * that works at each position of the kernel alone sees the mean over them.
 *
 * @param make gives a factor as it will be used, count × rows × columns of the stage's layout; its moments are one a
 *   matrix, null where nothing is known
 */
export function madeInTurn(
  form: Form,
  layer: FormLayer,
  make: (stage: Stage, moments: Moments) => Float32Array,
  kernels: Kernels,
): Float32Array[] {
  const stages = stagesOf(form, layer);
  const input = inputMoments(form, layer);
  const factors: Float32Array[] = [];
  let before = input;
  for (const [at, stage] of stages.entries()) {
    const factor = make(stage, seenBy(stage, stage.sees === "input" ? input : before));
    factors.push(factor);
    if (stages[at + 1]?.sees === "before") before = behind(stage, before, factor, kernels);
  }
  return factors;
}

/** The layer's moments in the order of features that the form's factors have. */
function inputMoments(form: Form, { moments, target, layout }: FormLayer): Moments {
  if (form.kind !== "spatial") return moments;
  const order = axisFirst(layout.columns, target.dims.slice(2), form.axis);
  return moments.map((one) => one && momentsIn(order, one));
}

function seenBy({ sees, layout }: Stage, features: Moments): Moments {
  return features.map((one) => {
    if (one === null || sees === null) return null;
    return one.n === layout.columns ? one : innerMoments(one, one.n / layout.columns);
  });
}

function behind(
  { kronecker, layout }: Stage,
  features: Moments,
  factor: Float32Array,
  kernels: Kernels,
): Moments {
  return features.map(
    (one, index) =>
      one && reducedMoments(one, kronecker!, factorAt(layout, factor, index), layout.rows, kernels),
  );
}
