import { z } from "zod";

/** A plan as files that can be run: one ONNX model for each stage and kind of work, and what passes between devices. */

const IndexRange = z
  .strictObject({ from: z.int(), to: z.int() })
  .describe("Indices from `from` up to, but without, `to`.");

const Box = z
  .array(IndexRange)
  .describe("A part of a tensor, a range an axis; empty for a whole tensor whose size only a run tells.");

const SampleBox = z
  .array(IndexRange)
  .describe("The samples first, then a range for each axis of the tensor of one sample.");

const Slice = z.strictObject({
  name: z.string().describe("What the shard's model calls it."),
  value: z.string().describe("The value's name in the whole model."),
  box: Box,
});

const Shard = z.strictObject({
  file: z.string().describe("The ONNX model, beside the manifest; it takes one sample at a time."),
  devices: z
    .array(z.strictObject({ device: z.int(), samples: IndexRange }))
    .describe("Who runs it, by place in `devices`, and for which samples of the batch."),
  inputs: z.array(Slice),
  outputs: z.array(
    Slice.extend({
      partial: z.boolean().describe("A partial sum, which a collective of the next stage adds up."),
    }),
  ),
});

const Collective = z.strictObject({
  kind: z
    .enum(["sum", "gather"])
    .describe("sum: partial sums are added up, in double precision. gather: slices are put together."),
  value: z.string(),
  results: z.array(
    z.strictObject({
      device: z.int().describe("Who has the result afterwards."),
      box: SampleBox,
      pieces: z
        .array(z.strictObject({ from: z.int(), box: SampleBox }))
        .describe("What each device sends; a piece from the device itself does not travel."),
    }),
  ),
});

export const ShardManifest = z
  .strictObject({
    format: z.literal("hone-shards-1"),
    devices: z.array(z.string()).describe("Devices that take part, as the plan names them."),
    samples: z.int().describe("Samples of the batch that the ranges count."),
    inputs: z
      .array(z.strictObject({ name: z.string(), shape: z.array(z.int()) }))
      .describe("The model's inputs for one sample. Every device has them."),
    stages: z
      .array(z.strictObject({ collectives: z.array(Collective), shards: z.array(Shard) }))
      .describe("In order: first the collectives, in their order, then the shards, in any order."),
    outputs: z.array(z.string()).describe("Whole on the first device after the last stage."),
    undivided: z.array(z.string()).describe("Layers that run whole where the plan divides them."),
    not_run: z
      .array(z.string())
      .describe("Planned layers in branches and loops that these inputs do not take."),
  })
  .describe("How to run the shards of a plan.")
  .meta({ id: "ShardManifest" });
export type ShardManifest = z.infer<typeof ShardManifest>;
