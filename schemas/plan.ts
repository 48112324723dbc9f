import { z } from "zod";
import { Mix } from "./mix.ts";

/** How the model's tensors are split over the mix, and what that costs. */

export const PartitionType = z
  .enum(["I", "II", "III"])
  .describe("I batch, II input channel, III output channel (AccPar, table 1).");
export type PartitionType = z.infer<typeof PartitionType>;

export const Mode = z.enum(["training", "inference"]);
export const Objective = z.enum(["time", "energy", "cost"]);
export const CostModel = z.enum(["hone", "accpar"]);

export const PlanOptions = z.strictObject({
  mode: Mode.optional().describe("inference where nothing is said"),
  batch: z.int().min(1).max(1_048_576).optional(),
  objective: Objective.optional(),
  cost_model: CostModel.optional(),
});
export type PlanOptions = z.infer<typeof PlanOptions>;

const DeviceShare = z.strictObject({
  device: z.string().describe("`tpu-v3/0`: accelerator and its index in the mix."),
  share: z.number().min(0).max(1).describe("Part of the layer's work that the device does."),
});

export const PlanLayer = z.strictObject({
  name: z.string(),
  op: z.string(),
  type: z.array(PartitionType).describe("One a level of the hierarchy, outermost first."),
  shares: z.array(DeviceShare),
  flops: z.number(),
  communication_bytes: z.number(),
  time_s: z.number(),
});

const Baseline = z.strictObject({
  step_time_s: z.number(),
  communication_bytes: z.number(),
  communication_elements: z.number().optional(),
});

export const PlanDevice = z.strictObject({
  name: z.string(),
  accelerator: z.string(),
  memory_bytes: z
    .number()
    .describe("Needed for this plan: weights, activations and, in training, gradients and optimizer state."),
  memory_limit_bytes: z.number(),
  busy_s: z.number(),
});

export const Plan = z
  .strictObject({
    mode: Mode,
    batch: z.int(),
    objective: Objective,
    cost_model: CostModel,
    mix: Mix,
    step_time_s: z.number(),
    energy_j: z.number().nullable().describe("null where an accelerator of the mix declares no watts."),
    price_usd: z.number().nullable(),
    communication_bytes: z.number(),
    communication_elements: z.number().optional().describe("With cost_model accpar."),
    devices: z.array(PlanDevice),
    layers: z.array(PlanLayer),
    baselines: z.strictObject({ data_parallel: Baseline, owt: Baseline, hypar: Baseline, accpar: Baseline }),
    estimated: z
      .literal(true)
      .describe("Times come from the cost model, not from the accelerators themselves."),
    notes: z.array(z.string()).describe("Assumptions, and what could not be counted."),
  })
  .describe("A partition plan.")
  .meta({ id: "Plan" });
export type Plan = z.infer<typeof Plan>;
