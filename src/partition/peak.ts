import type { Accelerator, Precision } from "../../schemas/mix.ts";
import type { NetworkNode } from "./graph.ts";

/** What runs where an accelerator lacks a precision. TF32 is what the vendors' libraries use for float32 where they can. */
const FALLBACKS: Readonly<Record<NetworkNode["precision"], readonly Precision[]>> = {
  fp64: ["fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8", "int4"],
  fp32: ["tf32", "fp32", "bf16", "fp16", "fp64", "fp8", "int8", "int4"],
  fp16: ["fp16", "bf16", "tf32", "fp32", "fp64", "fp8", "int8", "int4"],
  bf16: ["bf16", "fp16", "tf32", "fp32", "fp64", "fp8", "int8", "int4"],
  int8: ["int8", "fp8", "fp16", "bf16", "tf32", "fp32", "int4", "fp64"],
};

/** Precisions in which no accelerator multiplies 2:4 sparse matrices. */
const DENSE_ONLY: ReadonlySet<Precision> = new Set(["fp64", "fp32"]);

/** The precision in which an accelerator computes: the wanted one, or what would run in its place. */
export function precisionUsed({ flops }: Accelerator, wanted: NetworkNode["precision"]): Precision {
  const used = FALLBACKS[wanted].find((precision) => flops[precision] !== undefined);
  if (!used) throw new Error("unreachable: the schema asks for one precision at least");
  return used;
}

/** Dense FLOP/s of an accelerator for a precision. */
export function peakFlops(accelerator: Accelerator, wanted: NetworkNode["precision"]): number {
  return accelerator.flops[precisionUsed(accelerator, wanted)] as number;
}

/** FLOP/s at which an accelerator computes a node; its FLOPs are counted dense, so 2:4 weights double the rate. */
export function nodeFlops(
  accelerator: Accelerator,
  node: Pick<NetworkNode, "precision" | "semiStructured">,
): number {
  return (exploits(accelerator, node) ? 2 : 1) * peakFlops(accelerator, node.precision);
}

/** Whether an accelerator runs a node at twice the rate because its weight is 2:4 sparse. */
export function exploits(
  accelerator: Accelerator,
  { precision, semiStructured }: Pick<NetworkNode, "precision" | "semiStructured">,
): boolean {
  return (
    semiStructured === true &&
    accelerator.sparse_2_4 === true &&
    !DENSE_ONLY.has(precisionUsed(accelerator, precision))
  );
}
