import { z } from "zod";

/** What to do to a model. Every field is optional: `{}` is the automatic recipe. */

const ratio = z.number().gt(0).lt(1);

export const Target = z
  .strictObject({
    size_ratio: ratio.optional().describe("Artifact bytes over upload bytes, at most."),
    max_bytes: z.int().positive().optional().describe("Artifact bytes, at most."),
    macs_ratio: ratio
      .optional()
      .describe("Multiply-accumulates of the artifact over those of the upload, at most."),
    latency_ratio: ratio
      .optional()
      .describe("Measured latency of the artifact over that of the upload, at most."),
    min_fidelity: z
      .number()
      .gt(0)
      .lte(1)
      .optional()
      .describe("Least R² allowed on any output; 0.99 where nothing is said."),
  })
  .describe("The promise that the measured artifact has to keep.");

export const Method = z.enum(["sparsity", "kernel_sharing", "low_rank", "channel_pruning", "quantization"]);

export const Sparsity = z
  .strictObject({
    ratio: z.number().min(0).lt(1).optional().describe("Share of the weights to set to zero."),
    scope: z
      .enum(["layer", "global"])
      .optional()
      .describe("The ratio holds in every layer, or over the whole model by one threshold."),
    pattern: z
      .enum(["unstructured", "2:4", "4:8", "block", "channel"])
      .optional()
      .describe("block: runs of 4 inputs; channel: whole channels go, and tensors shrink."),
    solver: z
      .enum(["magnitude", "wanda", "obs", "admm", "proximal"])
      .optional()
      .describe(
        "admm where nothing is said: ADMM, then least squares on what is left; on small layers obs as well, and the better of the two. obs: optimal brain surgeon, weight by weight on small layers and block by block on large ones, then least squares.",
      ),
    regularizer: z.enum(["l1", "l0", "hoyer_square", "group_hoyer_square", "transformed_l1"]).optional(),
    strength: z.number().positive().optional().describe("Weight λ of the regulariser."),
  })
  .describe("Zeros in the weights, stored sparse where that is smaller.");

export const KernelSharing = z
  .strictObject({
    bases: z
      .union([z.int().min(1).max(64), z.literal("auto")])
      .optional()
      .describe("Basis kernels d per layer, or by energy."),
    energy: z
      .number()
      .gt(0)
      .lte(1)
      .optional()
      .describe("Share of ‖W‖² that the basis has to keep when bases is auto."),
    share: z
      .enum(["layer", "stage"])
      .optional()
      .describe(
        "stage: convolutions with the same kernel and the same output size have one basis, which the artifact stores once; layer where nothing is said.",
      ),
  })
  .describe("PENNI: k×k convolutions as a few basis kernels and a 1×1 convolution of coefficients.");

export const LowRank = z
  .strictObject({
    rank: z.int().positive().optional(),
    energy: z.number().gt(0).lte(1).optional().describe("Share of the layer's output energy to keep."),
    share: z
      .enum(["layer", "stage"])
      .optional()
      .describe(
        "stage: MatMul, Gemm and recurrent layers of the same input and output features have one right factor, which the artifact stores once; layer where nothing is said.",
      ),
  })
  .describe("Weights as products of two smaller ones.");

export const Quantization = z
  .strictObject({
    weights: z.enum(["int8", "int4", "fp16"]),
    group: z
      .int()
      .min(8)
      .max(1024)
      .optional()
      .describe(
        "Inputs that share a scale, of a convolution its channels at one position of the kernel; where they do not divide the inputs the next fewer that do, down to half. One scale for each output where absent (int4: 32).",
      ),
    storage: z
      .enum(["dequantize_linear", "folded"])
      .optional()
      .describe(
        "A DequantizeLinear node for each weight, which ONNX Runtime runs at every inference unless it fuses it, or Cast and Mul nodes, which it folds when it loads the model. The opset is raised where that node needs it: to 13, or to 21 for int4, groups and scales along several axes.",
      ),
  })
  .describe("Weights as integers with scales, or as half floats.");

export const Tune = z.strictObject({
  epochs: z.int().positive().max(1000).optional(),
  steps: z.int().positive().max(1_000_000).optional(),
  loss: z.enum(["distillation", "cross_entropy"]).optional(),
});

export const LayerOverride = z.strictObject({
  skip: z.boolean().optional().describe("Leave the layer as it is."),
  sparsity: Sparsity.optional(),
  kernel_sharing: KernelSharing.optional(),
  low_rank: LowRank.optional(),
  quantization: Quantization.optional(),
});

export const Recipe = z
  .strictObject({
    target: Target.optional(),
    methods: z
      .array(Method)
      .max(5)
      .optional()
      .describe("Methods that may be used; all of them where nothing is said, none for []."),
    sparsity: Sparsity.optional(),
    kernel_sharing: KernelSharing.optional(),
    low_rank: LowRank.optional(),
    quantization: Quantization.optional(),
    tune: Tune.optional(),
    strict: z
      .boolean()
      .optional()
      .describe(
        "Fail the job where a layer cannot be treated for a reason on our side; without it, that layer stays as it was and the report says why.",
      ),
    layers: z
      .record(z.string().max(512), LayerOverride)
      .optional()
      .describe("Overrides by layer name or glob."),
  })
  .describe("What to do; {} lets Hone choose per layer under the fidelity guard.")
  .meta({ id: "Recipe" });

export type Recipe = z.infer<typeof Recipe>;
