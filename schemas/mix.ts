import { z } from "zod";

/** The declared accelerators. Units are SI throughout: FLOP/s, bytes, bytes/s, watts, seconds. */

/** Far beyond anything real, and near enough that no product of figures overflows. */
const positive = z.number().min(1e-9).max(1e24);
const notNegative = z.number().min(0).max(1e24);

export const Precision = z.enum(["fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8", "int4"]);
export type Precision = z.infer<typeof Precision>;

export const Topology = z.enum(["switch", "ring"]);
export type Topology = z.infer<typeof Topology>;

export const Link = z.strictObject({
  bandwidth: positive.describe("Bytes per second and direction, per device."),
  latency: notNegative.optional().describe("Seconds per message; 5 µs where nothing is said."),
  topology: Topology.optional().describe(
    "How equal devices are joined: through a switch, each at its full bandwidth (where nothing is said), or in a ring, each to two neighbours.",
  ),
  joules_per_byte: notNegative
    .optional()
    .describe("Energy of a byte that passes the link; nothing where it is not said."),
});
export type Link = z.infer<typeof Link>;

export const Uplink = z.strictObject({
  bandwidth: positive.describe("Bytes per second and direction, of all devices of the entry together."),
  latency: Link.shape.latency,
  joules_per_byte: Link.shape.joules_per_byte,
});
export type Uplink = z.infer<typeof Uplink>;

export const Accelerator = z
  .strictObject({
    name: z.string().min(1).max(64).describe("Any; devices are called `name/0`, `name/1`, …"),
    flops: z
      .partialRecord(Precision, positive)
      .refine((flops) => Object.keys(flops).length > 0, {
        message: "declare the FLOP/s of at least one precision",
      })
      .describe(
        "Peak dense FLOP/s of one device by precision (a multiply-add is two). A layer in a precision that is not declared runs in the nearest that is.",
      ),
    memory_bytes: positive.describe("Of one device: a limit that no plan exceeds where one fits."),
    memory_bandwidth: positive.describe("Bytes per second of one device from and to its memory."),
    watts: positive.optional().describe("Of one device under load; the objective energy needs it."),
    price_per_hour: notNegative.optional().describe("US dollars of one device."),
    sparse_2_4: z
      .boolean()
      .optional()
      .describe("Multiplies 2:4 sparse weights at twice its dense rate, in any precision but fp32 and fp64."),
    link: Link.optional().describe("The device's own interconnect, where the mix does not declare one."),
  })
  .describe("An accelerator of the caller's own.");
export type Accelerator = z.infer<typeof Accelerator>;

export const MixEntry = z.strictObject({
  accelerator: z
    .union([z.string().min(1, "name an accelerator of the catalogue").max(64), Accelerator], {
      error: "name an accelerator of the catalogue, or declare its figures",
    })
    .describe("A catalogue name, or the figures themselves."),
  count: z.int().min(1).max(4096).describe("Devices; 4096 in all entries together."),
  link: Link.optional().describe(
    "Between the devices of the entry; the accelerator's own where nothing is said.",
  ),
  uplink: Uplink.optional().describe(
    "What leads from these devices to those of the other entries, such as the network card of a host; their own links together where nothing is said.",
  ),
});

export const Mix = z
  .array(MixEntry)
  .min(1)
  .max(16)
  .describe("The accelerators to plan for.")
  .meta({ id: "Mix" });
export type Mix = z.infer<typeof Mix>;
