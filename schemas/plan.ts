import { z } from "zod";
import { Mix } from "./mix.ts";

/** How the model's tensors are split over the mix, and what that costs. */

export const PartitionType = z
  .enum(["I", "II", "III"])
  .describe("I batch, II input channel, III output channel (AccPar, table 1).");
export type PartitionType = z.infer<typeof PartitionType>;

export const Mode = z.enum(["training", "inference"]);
export type Mode = z.infer<typeof Mode>;
export const Objective = z.enum(["time", "energy", "cost"]);
export type Objective = z.infer<typeof Objective>;
export const Serving = z.enum(["latency", "throughput"]);
export type Serving = z.infer<typeof Serving>;
export const PlanFormat = z
  .enum(["json", "svg", "jax", "dtensor", "onnx"])
  .describe(
    "json: the plan. svg: a picture. jax, dtensor: Python modules with the sharding of every tensor. onnx: a copy of the model with multi-device annotations (IR version 11).",
  );
export type PlanFormat = z.infer<typeof PlanFormat>;
export const CostModel = z.enum(["hone", "accpar"]);
export type CostModel = z.infer<typeof CostModel>;

const planOptions = z.strictObject({
  mode: Mode.optional().describe("inference where nothing is said"),
  batch: z
    .int()
    .min(1)
    .max(1_048_576)
    .optional()
    .describe("Samples a step; the model's own batch, or 1, where nothing is said."),
  objective: Objective.optional().describe(
    "What is made least, among the plans that fit in memory: the step time (where nothing is said), energy or price.",
  ),
  cost_model: CostModel.optional().describe(
    "hone, where nothing is said: seconds by roofline and links. accpar: elements moved, as AccPar counts them, in training.",
  ),
  serving: Serving.optional().describe(
    "What inference is planned for: the time of one batch (latency, where nothing is said), or the rate of many batches that follow each other without a gap, while devices compute one and send another (throughput).",
  ),
});
/** Steps of training wait for each other's weights, so that only inference can be planned for a rate. */
export const servingFits = ({ mode, serving, cost_model }: z.infer<typeof planOptions>) =>
  serving !== "throughput" || (mode !== "training" && cost_model !== "accpar");
export const servingMessage = {
  message: "throughput is planned for inference with Hone's own cost model only",
  path: ["serving"],
};
export const PlanOptions = planOptions.refine(servingFits, servingMessage);
export type PlanOptions = z.infer<typeof PlanOptions>;

const DeviceShare = z.strictObject({
  device: z.string().describe("`tpu-v3/0`: accelerator and its index in the mix."),
  count: z
    .int()
    .optional()
    .describe("In very large plans: so many devices from this one on do the same share each."),
  share: z.number().min(0).max(1).describe("Part of the layer's work that the device does."),
});

export const PlanLayer = z.strictObject({
  name: z.string(),
  op: z.string().describe("ONNX operator."),
  type: z.array(PartitionType).describe("One a level of the hierarchy, outermost first."),
  shares: z.array(DeviceShare),
  flops: z
    .number()
    .describe("Of a step on all devices together, counted dense: zeros in a weight do not lower them."),
  flops_by_pass: z
    .strictObject({ forward: z.number(), backward: z.number(), gradient: z.number() })
    .describe(
      "The same by direction: the layer's output, the error of its input, the gradient of its weight.",
    ),
  precision: z
    .enum(["fp64", "fp32", "fp16", "bf16", "int8"])
    .describe("The arithmetic that the layer needs; `notes` say where an accelerator runs another."),
  bound: z
    .enum(["compute", "memory", "link"])
    .describe("What most of `time_s` goes to: the slowest device's arithmetic or memory, or the links."),
  communication_bytes: z
    .number()
    .describe(
      "Received by all devices in a step: the layer's partial sums, and its input from the layers before.",
    ),
  time_s: z
    .number()
    .describe(
      "Part of `step_time_s`: the slowest device's work, and the exchanges counted in `communication_bytes`.",
    ),
});

const Baseline = z.strictObject({
  step_time_s: z.number(),
  samples_per_s: z.number(),
  energy_j: z.number().nullable(),
  price_usd: z.number().nullable(),
  communication_bytes: z.number(),
  communication_elements: z.number().optional(),
  fits: z.boolean().describe("Whether every device's memory holds its part."),
});

export const PlanDevice = z.strictObject({
  name: z.string(),
  accelerator: z.string(),
  memory_bytes: z
    .number()
    .describe("Needed for this plan: weights, activations and, in training, gradients and optimizer state."),
  memory_limit_bytes: z.number().describe("Memory of the accelerator."),
  busy_s: z.number().describe("Seconds of a step in which the device computes or waits for its own memory."),
});

export const PlanVerification = z
  .strictObject({
    status: z
      .enum(["passed", "failed", "inconclusive", "skipped"])
      .describe(
        "passed: every boundary and output is within the tolerance. inconclusive: nothing could be compared. skipped: not run; `reason` says why.",
      ),
    reason: z.string().optional().describe("Why it failed, was skipped or says nothing."),
    tolerance: z.number().describe("Largest ‖a − b‖ / ‖b‖ of a value that passes."),
    devices: z.int().describe("Virtual devices that ran their part."),
    samples: z.int().describe("Samples that were shared out; fewer than the batch where that is large."),
    data: z.enum(["calibration", "synthetic"]).nullable(),
    boundaries: z.int().describe("Values between shards that were compared on every device that holds them."),
    worst: z
      .strictObject({ value: z.string(), relative_error: z.number().nullable() })
      .nullable()
      .describe(
        "The boundary or output with the largest error; null as the error where values are not finite.",
      ),
    outputs: z.array(
      z.strictObject({
        output: z.string(),
        relative_error: z.number().nullable().describe("null where values are not finite."),
        inconclusive: z
          .string()
          .optional()
          .describe("Why a difference here says nothing: a comparison that turns over on rounding."),
      }),
    ),
    undivided: z
      .array(z.string())
      .describe(
        "Layers that every device ran whole where the plan divides them: their operator cannot be sliced.",
      ),
    not_run: z
      .array(z.string())
      .describe("Planned layers in branches and loops that these inputs do not take."),
    notes: z.array(z.string()),
  })
  .describe("The plan's forward pass, run on virtual devices and compared with the whole model.")
  .meta({ id: "PlanVerification" });
export type PlanVerification = z.infer<typeof PlanVerification>;

export const Plan = z
  .strictObject({
    mode: Mode,
    batch: z.int(),
    objective: Objective,
    cost_model: CostModel,
    mix: Mix,
    serving: Serving,
    step_time_s: z.number().describe("Seconds from the first layer of a batch to its last."),
    samples_per_s: z
      .number()
      .describe(
        "The batch over the step time; when serving for throughput over the time that the busiest device computes, or sends and receives, for a batch. 0 where a plan takes no time.",
      ),
    energy_j: z
      .number()
      .nullable()
      .describe(
        "Of a batch: the watts of every device that takes part, idle or not, and what the links take. null where one of them declares no watts.",
      ),
    price_usd: z
      .number()
      .nullable()
      .describe(
        "Of a batch: the price of every device that takes part, idle or not. null where one of them has none.",
      ),
    communication_bytes: z.number().describe("Received by all devices in a step."),
    communication_elements: z
      .number()
      .optional()
      .describe("With cost_model accpar: elements that one side of each cut receives, AccPar's counting."),
    devices: z.array(PlanDevice),
    layers: z.array(PlanLayer),
    fits: z.boolean().describe("Whether every device's memory holds its part; `notes` says where not."),
    baselines: z
      .strictObject({
        data_parallel: Baseline.describe("Types I only, equal shares."),
        data_parallel_proportional: Baseline.describe("Types I only, shares that balance the devices."),
        owt: Baseline.describe("One Weird Trick: convolutions I, fully connected layers II, equal shares."),
        hypar: Baseline.describe("HyPar: types I and II, level by level, equal shares."),
        accpar: Baseline.describe("AccPar: all types, level by level, shares that balance the devices."),
        one_device: Baseline.describe("The device of the mix that is fastest alone."),
      })
      .describe("The same model and mix under other schemes, by the same cost model."),
    estimated: z
      .literal(true)
      .describe("Times come from the cost model, not from the accelerators themselves."),
    notes: z.array(z.string()).describe("Assumptions, and what could not be counted."),
    verification: PlanVerification.optional().describe("Absent where the plan was not run."),
  })
  .describe("A partition plan.")
  .meta({ id: "Plan" });
export type Plan = z.infer<typeof Plan>;
