import type { Mix } from "../schemas/mix.ts";
import type { Network } from "../src/partition/graph.ts";
import { planNetwork } from "../src/partition/plan.ts";
import { zooNetwork } from "../src/partition/zoo.ts";
import { chain } from "../test/partition/random-networks.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";

/** How long planning takes, on one core: chains of unlike layers, and residual networks of the zoo. Writes BENCHMARKS.md. */
const RUNS = 3;
const CHAINS = [
  [50, 256],
  [100, 256],
  [200, 256],
  [400, 256],
  [250, 1024],
  [500, 1024],
  [1000, 1024],
] as const;
const RESIDUAL = [
  ["resnet-50", 256],
  ["resnet-152", 256],
  ["bert-large", 256],
] as const;

const rows: (string | number)[][] = [];
planNetwork(layers(20), unlike(16), { mode: "training" });
for (const [count, devices] of CHAINS) {
  rows.push(timed(`${count} layers in a chain`, layers(count), devices));
}
for (const [name, devices] of RESIDUAL) {
  rows.push(timed(`zoo:${name}`, await zooNetwork(name, 4096), devices));
}
await writeSection(
  "plan",
  `## Planning

Written by \`npm run bench:plan\`. Training plans on equal numbers of two kinds of accelerators, baselines included; seconds of one core, medians of ${RUNS}. The layers of a chain all
differ from their neighbours. Memory is what the process held at most. The goals are one second for 200 layers on 256 accelerators and ten for 1,000 on 1,024.

${markdownTable(["network", "layers and joins", "accelerators", "seconds", "ms a layer", "peak MB so far"], rows)}`,
);

function timed(name: string, network: Network, devices: number): (string | number)[] {
  const seconds = Array.from({ length: RUNS }, () => {
    const start = process.cpuUsage();
    planNetwork(network, unlike(devices), { mode: "training" });
    return process.cpuUsage(start).user / 1e6;
  }).sort((a, b) => a - b)[Math.floor(RUNS / 2)]!;
  const count = network.nodes.length;
  const peak = process.resourceUsage().maxRSS / 1024;
  const row = [
    name,
    count,
    devices,
    seconds.toFixed(2),
    ((1000 * seconds) / count).toFixed(2),
    peak.toFixed(0),
  ];
  console.error(row.join(" | "));
  return row;
}

function unlike(devices: number): Mix {
  return [
    { accelerator: "tpu-v3", count: devices / 2 },
    { accelerator: "tpu-v2", count: devices / 2 },
  ];
}

/** Fully connected layers of thirteen widths by turns. */
function layers(count: number): Network {
  return chain(
    Array.from({ length: count + 1 }, (_, i) => 256 * (1 + ((i * 7) % 13))),
    4096,
  );
}
