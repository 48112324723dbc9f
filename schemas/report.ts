import { z } from "zod";

/** What was measured, upload against artifact. Every figure comes from the assembled files. */

const pair = <T extends z.ZodType>(figure: T) => z.strictObject({ original: figure, compressed: figure });

export const OutputFidelity = z.strictObject({
  output: z.string(),
  r2: z
    .number()
    .nullable()
    .describe("1 − ‖y−ŷ‖²/‖y−mean(y)‖²; null where the output is constant and differs."),
  cosine: z.number().nullable(),
  max_abs_difference: z.number(),
  top1_agreement: z
    .number()
    .nullable()
    .describe(
      "Share of samples whose largest class score is the same; null where outputs are no class scores.",
    ),
});
export type OutputFidelity = z.infer<typeof OutputFidelity>;

export const Fidelity = z.strictObject({
  data: z.enum(["calibration", "synthetic"]).describe("The caller's samples, or seeded synthetic inputs."),
  samples: z.int(),
  outputs: z.array(OutputFidelity),
  min_r2: z.number().nullable(),
});
export type Fidelity = z.infer<typeof Fidelity>;

export const Latency = z.strictObject({
  original: z.number(),
  compressed: z.number(),
  runs: z.int().describe("Interleaved runs a side; the figures are medians."),
});
export type Latency = z.infer<typeof Latency>;

export const LayerReport = z.strictObject({
  name: z.string(),
  op: z.string(),
  method: z.string().describe("`none`, `sparsity`, `kernel_sharing`, …, several joined by +"),
  reason: z
    .string()
    .nullable()
    .describe("Why the layer stayed as it was, or what was done otherwise than the recipe says."),
  bytes: pair(z.number()),
  parameters: pair(z.number()),
  nonzero: pair(z.number()),
  macs: pair(z.number().nullable()),
  weight_error: z.number().describe("‖Ŵ−W‖²/‖W‖², from the weights as stored."),
  layer_error: z
    .number()
    .describe(
      "tr(ΔW·G·ΔWᵀ)/tr(W·G·Wᵀ) on the calibration samples' Gram matrix G; the weight error where there were none.",
    ),
});
export type LayerReport = z.infer<typeof LayerReport>;

export const StepReport = z.strictObject({
  name: z.string(),
  seconds: z.number(),
  bytes_read: z.number(),
  bytes_written: z.number(),
  peak_bytes: z
    .number()
    .describe("WASM memories and large buffers of the engine, at the most, as it accounts for them."),
});

export const Report = z
  .strictObject({
    model: z.strictObject({ sha256: z.string(), opset: z.int(), nodes: pair(z.int()) }),
    artifact: z.strictObject({ sha256: z.string() }),
    bytes: pair(z.int()),
    parameters: z.strictObject({ total: pair(z.int()), nonzero: pair(z.int()) }),
    macs: pair(z.number())
      .nullable()
      .describe("For one sample of the declared shapes; null where shapes cannot be inferred."),
    fidelity: Fidelity.nullable().describe("null where the model could not be run; `warnings` says why."),
    accuracy: pair(z.number()).nullable().describe("Top-1 on the calibration labels, where given."),
    latency_ms: Latency.nullable().describe(
      "null where the model could not be run, or was too large to be run whole; `warnings` says why.",
    ),
    layers: z.array(LayerReport),
    lossless: z.array(z.strictObject({ pass: z.string(), changes: z.int() })),
    steps: z.array(StepReport),
    warnings: z.array(z.string()),
    engine: z.strictObject({ version: z.string(), runtime: z.string() }),
  })
  .describe("What was measured.")
  .meta({ id: "Report" });
export type Report = z.infer<typeof Report>;
