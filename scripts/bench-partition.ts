import type { Mix } from "../schemas/mix.ts";
import type { Plan, PlanOptions } from "../schemas/plan.ts";
import { planNetwork } from "../src/partition/plan.ts";
import { zooNetwork } from "../src/partition/zoo.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";

/**
 * The nine networks of the AccPar paper on its own array, on a mix at the edge and on one in a data centre: step time under
 * every scheme, all by Hone's cost model, as speed-up over data parallelism with equal shares; and elements moved by
 * AccPar's public counting. Writes its tables into BENCHMARKS.md.
 */
const NETWORKS = [
  "lenet",
  "alexnet",
  "vgg-11",
  "vgg-13",
  "vgg-16",
  "vgg-19",
  "resnet-18",
  "resnet-34",
  "resnet-50",
];
const SCHEMES = ["data_parallel_proportional", "owt", "hypar", "accpar", "one_device"] as const;

interface Case {
  readonly title: string;
  readonly mix: Mix;
  readonly options: PlanOptions;
}

const CASES: readonly Case[] = [
  {
    title: "128 TPU-v2 and 128 TPU-v3, training, batch 512",
    mix: [
      { accelerator: "tpu-v2", count: 128 },
      { accelerator: "tpu-v3", count: 128 },
    ],
    options: { mode: "training", batch: 512 },
  },
  {
    title: "Phone NPU, laptop GPU and server CPU over Wi-Fi, inference, batch 64",
    mix: [
      { accelerator: "phone-npu", count: 1 },
      { accelerator: "laptop-gpu", count: 1 },
      { accelerator: "server-cpu", count: 1 },
    ],
    options: { mode: "inference", batch: 64 },
  },
  {
    title: "8 A100, 8 H100 and 8 L4, training, batch 512",
    mix: [
      { accelerator: "a100", count: 8 },
      { accelerator: "h100", count: 8 },
      { accelerator: "l4", count: 8 },
    ],
    options: { mode: "training", batch: 512 },
  },
];

const sections: string[] = [];
for (const { title, mix, options } of CASES) sections.push(`### ${title}\n\n${await speedUps(mix, options)}`);
sections.push(
  `### Elements moved by 128 equal devices, AccPar's counting, training, batch 512\n\n${await elements()}`,
);
await writeSection(
  "partition",
  `## Partition plans

Written by \`npm run bench:partition\`. The published geometric means over data parallelism on the first mix are OWT 2.98×, HyPar 3.78× and AccPar 6.30×.
What the paper does not say and these tables assume: every device has a link of its own (8 and 16 Gb/s are taken a board, as the paper's table of boards), a cut
between two halves is as wide as the narrower half's links together, 5 µs a message, phases follow one another without overlap, arithmetic and memory run at their
peak figures in bfloat16, Adam keeps its moments on the device, and the networks are those of \`zoo:\` (one tower of AlexNet, BatchNorm folded). All columns use the same model,
so that their ratios compare schemes; they do not forecast what the hardware would do. \`hone\` may leave devices idle, the other schemes use all of them. Bold is the best of a row.

${sections.join("\n\n")}`,
);

async function speedUps(mix: Mix, options: PlanOptions): Promise<string> {
  const rows: string[][] = [];
  const all: number[][] = [];
  for (const name of NETWORKS) {
    const plan = planNetwork(await zooNetwork(name, options.batch), mix, options);
    const own = ratios(plan);
    all.push(own);
    rows.push([name, ...withBest(own), milliseconds(plan.step_time_s)]);
    console.error(rows.at(-1)?.join(" | "));
  }
  const means = all[0]!.map((_, i) =>
    Math.exp(all.reduce((sum, own) => sum + Math.log(own[i]!), 0) / all.length),
  );
  rows.push(["geometric mean", ...withBest(means), ""]);
  return markdownTable(["network", ...SCHEMES.map(spaced), "hone", "ms a step"], rows);
}

/** Data parallelism's time over that of the schemes, then of the plan. */
function ratios(plan: Plan): number[] {
  const base = plan.baselines.data_parallel.step_time_s;
  return [...SCHEMES.map((scheme) => base / plan.baselines[scheme].step_time_s), base / plan.step_time_s];
}

async function elements(): Promise<string> {
  const mix = [{ accelerator: "generic", count: 128 }];
  const schemes = ["data_parallel", "owt", "hypar", "accpar"] as const;
  const rows: string[][] = [];
  for (const name of NETWORKS) {
    const plan = planNetwork(await zooNetwork(name, 512), mix, { cost_model: "accpar" });
    const counted = [
      ...schemes.map((scheme) => plan.baselines[scheme].communication_elements!),
      plan.communication_elements!,
    ];
    const below = 1 - counted.at(-1)! / counted.at(-2)!;
    rows.push([
      name,
      ...counted.map((count) => count.toExponential(3)),
      `${(100 * below).toFixed(1)}% below AccPar`,
    ]);
    console.error(rows.at(-1)?.join(" | "));
  }
  return markdownTable(["network", ...schemes.map(spaced), "hone", ""], rows);
}

function withBest(values: readonly number[]): string[] {
  const best = Math.max(...values);
  return values.map((value) => (value === best ? `**${value.toFixed(3)}×**` : `${value.toFixed(3)}×`));
}

function spaced(name: string): string {
  return name.replaceAll("_", " ");
}

function milliseconds(seconds: number): string {
  return (1000 * seconds).toPrecision(4);
}
