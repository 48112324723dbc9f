import { elementCount } from "../../onnx/tensor-value.ts";
import { fromMatrices } from "../layer-matrix.ts";
import { type CodedWeight, multiply } from "../storage/coded.ts";

/** Inputs that share a scale; null for one scale a row. */
export interface InputGroups {
  readonly group: number | null;
  /** Where this is not what was asked for: why. */
  readonly remark: string | null;
}

/**
 * Groups that divide the inputs: as many as asked for, or the next fewer down to half of that. The inputs of a
 * convolution are its channels at one position of the kernel, because DequantizeLinear has blocks of one axis only.
 *
 * @param positions of the kernel among the columns, 1 for what is no convolution
 * @param wanted null for one scale a row
 */
export function inputGroups(columns: number, positions: number, wanted: number | null): InputGroups {
  if (wanted === null || columns <= wanted) return { group: null, remark: null };
  const inputs = columns / positions;
  for (let group = Math.min(wanted, inputs); group >= wanted / 2; group--) {
    if (inputs % group !== 0) continue;
    const remark = `groups of ${group} inputs share a scale, since groups of ${wanted} do not fit its ${inputs} inputs`;
    return { group, remark: group === wanted ? null : remark };
  }
  return {
    group: null,
    remark: `all inputs of an output share a scale, since groups of ${wanted} do not fit its ${inputs} inputs`,
  };
}

/** Where the columns (channel, position) of a convolution lie in the order (position, channel). */
export function positionsFirst(columns: number, positions: number): Int32Array {
  const channels = columns / positions;
  return Int32Array.from(
    { length: columns },
    (_, at) => (at % channels) * positions + Math.floor(at / channels),
  );
}

/**
 * A weight that was quantised in dims rows × positions × channels, with groups of channels, in the dims of the
 * convolution: rows × channels × kernel.
 */
export function channelsFirst(coded: CodedWeight, group: number, dims: readonly number[]): CodedWeight {
  const [rows, positions, channels] = coded.dims as [number, number, number];
  const swapped = (values: Float32Array, columns: number) =>
    fromMatrices({ count: rows, rows: positions, columns, transposed: true }, values);
  const blocks = channels / group;
  return {
    ...coded,
    dims,
    codes: Uint8Array.from(swapped(Float32Array.from(coded.codes), channels)),
    view: [rows, blocks, group, positions],
    factors: coded.factors.map((factor) => {
      const view = coded.view.slice(0, -1);
      const scales = new Float32Array(elementCount(view)).fill(1);
      multiply(scales, view, { dims: factor.dims.slice(0, -1), values: factor.values });
      return { ...factor, dims: [rows, blocks, 1, positions], values: swapped(scales, blocks) };
    }),
  };
}
