import type { Kernels } from "../../kernels/kernels.ts";
import { searchScale } from "../../kernels/reference/scale-search.ts";
import { halfRounding } from "../../onnx/constant/half.ts";
import { evenLevels, type Levels, nearestLevel } from "./levels.ts";

/**
 * The scale of every row and group that minimises Σ_c weight_c·(w_c − ŵ_c)² of nearest levels, searched over clipping
 * factors and then refined by least squares for the codes that it gives.
 *
 * @param w rows × columns, already divided by scales of the columns if there are any
 * @param weights of the columns
 * @param half round the scales to float16
 */
export function fitScales(
  w: Float32Array,
  group: number,
  levels: Levels,
  weights: Float32Array,
  half: boolean,
  kernels: Kernels,
): Float32Array {
  if (levels.uniform) return kernels.fitScales(w, weights, evenLevels(levels, group), half);
  const count = w.length === 0 ? 0 : w.length / group;
  const scales = new Float32Array(count);
  const asStored = half ? halfRounding() : Math.fround;
  const { values } = levels;
  const scaled = { low: values[0]!, high: values.at(-1)!, nearest: nearestIn(levels) };
  for (let i = 0; i < count; i++) {
    const from = i * group;
    const row = present(w.subarray(from, from + group), weights.subarray(from % weights.length), levels);
    scales[i] = searchScale(row.w, row.weights, scaled, asStored);
  }
  return scales;
}

/** Weights that count in the choice of a scale. */
interface Row {
  readonly w: Float32Array;
  readonly weights: Float32Array;
}

/** Without zeros, where zero is a level: they are exact at every scale. */
function present(w: Float32Array, weights: Float32Array, { values }: Levels): Row {
  if (!values.includes(0)) return { w, weights };
  let count = 0;
  for (let c = 0; c < w.length; c++) if (w[c] !== 0) count++;
  const [some, theirs] = [new Float32Array(count), new Float32Array(count)];
  let at = 0;
  for (let c = 0; c < w.length; c++) {
    if (w[c] === 0) continue;
    some[at] = w[c]!;
    theirs[at++] = weights[c]!;
  }
  return { w: some, weights: theirs };
}

/** The level nearest to x, by a table of how many lie below each of fine steps. */
function nearestIn(levels: Levels): (x: number) => number {
  const { values } = levels;
  const most = values.length - 1;
  const first = values[0]!;
  const span = values[most]! - first;
  if (!(span > 0)) return () => first;
  // Between two neighbouring steps lies one boundary at most, as good as always: it is looked at, and the next ones.
  const steps = 8 * values.length;
  const below = Uint8Array.from({ length: steps + 1 }, (_, i) =>
    nearestLevel(levels, first + (i / steps) * span),
  );
  const boundaries = Float64Array.from({ length: most }, (_, i) => (values[i]! + values[i + 1]!) / 2);
  return (x) => {
    const place = ((x - first) / span) * steps;
    let code = below[place <= 0 ? 0 : place >= steps ? steps : Math.floor(place)]!;
    while (code < most && x > boundaries[code]!) code++;
    return values[code]!;
  };
}
