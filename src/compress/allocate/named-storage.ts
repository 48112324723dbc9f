import type { StorageTreatment } from "../treatment.ts";
import type { QuantizationPolicy } from "./policy.ts";

/** int4 has a scale for every 32 columns, as runtimes expect it; int8 one for every row. */
const INT4_GROUP = 32;

/** How the recipe says that weights are stored; null where it leaves that open. */
export function storageOf(policy: QuantizationPolicy): StorageTreatment | null {
  if (policy.use !== "exactly") return null;
  const { weights, group, storage = "dequantize_linear" } = policy;
  if (weights === "fp16") return { kind: "half" };
  return {
    kind: "integers",
    levels: weights === "int4" ? 15 : 255,
    group: group ?? (weights === "int4" ? INT4_GROUP : null),
    decode: storage,
  };
}
