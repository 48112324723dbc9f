import type { SharingForm } from "../treatment.ts";
import { RATES, type RuntimeKind } from "./rates.ts";

/** Work of one convolution on one sample batch. */
export interface ConvolutionWork {
  readonly inputs: number;
  readonly outputs: number;
  readonly groups: number;
  /** Elements of a kernel: k². */
  readonly kernel: number;
  /** Output positions, batch included. */
  readonly positions: number;
}

/** MACs = positions · c_out · (c_in / groups) · k². */
export function convolutionMacs(work: ConvolutionWork): number {
  return work.positions * work.outputs * (work.inputs / work.groups) * work.kernel;
}

/**
 * Predicted time of a convolution on one thread, ms.
 *
 * onnxruntime unfolds the input into columns (c_in·k² of them for each output position, none for 1×1) and
 * multiplies matrices: time = a·MACs + b·unfolded elements + c·output elements, with the three rates measured by
 * scripts/bench-forms.ts for dense, 1×1 and grouped convolutions each. A model, so that the same upload gives
 * the same artifact on every machine; how well it fits stands beside the rates.
 */
export function convolutionTime(work: ConvolutionWork, runtime: RuntimeKind = "web"): number {
  const kind = work.groups > 1 ? "grouped" : work.kernel === 1 ? "pointwise" : "dense";
  const { mac, unfolded, output } = RATES[runtime][kind];
  const columns = work.kernel === 1 ? 0 : work.positions * work.inputs * work.kernel;
  return convolutionMacs(work) * mac + columns * unfolded + work.positions * work.outputs * output;
}

/** The two convolutions of a form, in the order in which they run. */
export function formWork(work: ConvolutionWork, bases: number, form: SharingForm): ConvolutionWork[] {
  const { inputs, outputs, kernel, positions } = work;
  return form === "basis_first"
    ? [
        { inputs, outputs: inputs * bases, groups: inputs, kernel, positions },
        { inputs: inputs * bases, outputs, groups: 1, kernel: 1, positions },
      ]
    : [
        { inputs, outputs: outputs * bases, groups: 1, kernel: 1, positions },
        { inputs: outputs * bases, outputs, groups: outputs, kernel, positions },
      ];
}
