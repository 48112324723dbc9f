import { cpus } from "node:os";
import { type ConvolutionWork, convolutionTime, formWork } from "../src/compress/kernel-sharing/cost.ts";
import { RATES, type RuntimeKind } from "../src/compress/kernel-sharing/rates.ts";
import type { SharingForm } from "../src/compress/treatment.ts";
import { nodeOf } from "../src/onnx/edit.ts";
import type { Model, Node, Tensor } from "../src/onnx/model.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";
import { nativeRuntime } from "./native-runtime.ts";
import { benchModel, ints, noiseTensor, shortestTimes, type TimingLimits } from "./shortest-times.ts";

/**
 * Times dense convolutions and both forms of kernel sharing in onnxruntime-web (Node, one thread), or with the argument
 * `native` in onnxruntime-node, fits the rates of
 * src/compress/kernel-sharing/rates.ts and writes the table into BENCHMARKS.md. The rates are printed, not written:
 * they decide what artifacts look like, so changing them is a commit of its own.
 */
const CHANNELS_AND_SIZES = [
  [16, 16, 80],
  [32, 32, 56],
  [64, 64, 56],
  [64, 64, 28],
  [128, 128, 28],
  [256, 256, 14],
  [16, 64, 56],
  [64, 16, 56],
  [3, 32, 112],
  [128, 32, 28],
  [32, 128, 28],
  [64, 64, 14],
  [128, 128, 7],
  [24, 24, 40],
  [96, 96, 17],
] as const;
const KERNELS: readonly (readonly [height: number, width: number, bases: readonly number[]])[] = [
  [3, 3, [1, 2, 3, 5]],
  [5, 5, [2, 4, 8]],
  [1, 7, [2, 4]],
];
/** A 5×5 convolution of more MACs takes too long to be worth its row. */
const MOST_MACS = 4e8;
const LIMITS: TimingLimits = { leastRuns: 15, mostRuns: 40, leastMs: 150 };

const FORMS: readonly SharingForm[] = ["basis_first", "coefficients_first"];
type Kind = keyof typeof RATES.web;

interface Sample {
  readonly kind: Kind;
  /** Millions of MACs, unfolded elements and output elements. */
  readonly features: readonly [number, number, number];
  readonly work: ConvolutionWork;
  readonly ms: number;
}

const kind: RuntimeKind = process.argv[2] === "native" ? "native" : "web";
const runtime = kind === "native" ? nativeRuntime : await nodeRuntime();
const samples: Sample[] = [];
const rows: (string | number)[][] = [];

for (const [height, width, basesTried] of KERNELS) {
  for (const [inputs, outputs, size] of CHANNELS_AND_SIZES) {
    const kernel = [height, width];
    const positions = size * size;
    const work = { inputs, outputs, groups: 1, kernel: height * width, positions };
    if (positions * inputs * outputs * work.kernel > MOST_MACS) continue;
    const dense = await timed([work], kernel, size);
    samples.push(sampleOf(work, dense));
    for (const bases of basesTried) {
      const cells: (string | number)[] = [];
      for (const form of FORMS) {
        const parts = formWork(work, bases, form);
        for (const part of parts) samples.push(sampleOf(part, await timed([part], kernel, size)));
        const both = await timed(parts, kernel, size);
        const predicted =
          convolutionTime(work, kind) / parts.reduce((sum, part) => sum + convolutionTime(part, kind), 0);
        cells.push(both.toFixed(2), (dense / both).toFixed(2), predicted.toFixed(2));
      }
      rows.push([
        `${height}×${width}`,
        `${inputs}→${outputs}`,
        `${size}²`,
        bases,
        dense.toFixed(2),
        ...cells,
      ]);
      console.error(rows.at(-1)!.join("  "));
    }
  }
}

for (const sort of Object.keys(RATES.web) as Kind[]) {
  const of = samples.filter((sample) => sample.kind === sort);
  const [mac, unfolded, output] = fittedRates(of).map((rate) => (rate / 1e6).toPrecision(2));
  const errors = of
    .map(({ work, ms }) => Math.abs(convolutionTime(work, kind) / ms - 1))
    .sort((a, b) => a - b);
  const percent = (quantile: number) =>
    `${(100 * errors[Math.floor(quantile * (errors.length - 1))]!).toFixed(0)}%`;
  console.log(
    `${kind} ${sort}: { mac: ${mac}, unfolded: ${unfolded}, output: ${output} }, the rates in use miss by ${percent(0.5)} (median), ${percent(0.9)} (nine in ten)`,
  );
}
await writeSection(
  kind === "web" ? "forms" : "forms-native",
  `## Kernel sharing in ${kind === "web" ? "onnxruntime-web" : "native ONNX Runtime"}

\`npx node scripts/bench-forms.ts${kind === "web" ? "" : " native"}\` on ${cpus()[0]?.model.trim()}, Node ${process.version}, ${runtime.name}, one thread. Milliseconds are the shortest
of at least ${LIMITS.leastRuns} runs; *d* is the number of basis kernels; "faster" is the dense convolution's time over the form's, measured and as the cost model
of src/compress/kernel-sharing/cost.ts predicts it.

${markdownTable(
  [
    "kernel",
    "channels",
    "map",
    "d",
    "dense ms",
    "basis first ms",
    "faster",
    "predicted",
    "coefficients first ms",
    "faster",
    "predicted",
  ],
  rows,
)}`,
);

function sampleOf(work: ConvolutionWork, ms: number): Sample {
  const { inputs, outputs, groups, kernel, positions } = work;
  const macs = (positions * outputs * inputs * kernel) / groups;
  const unfolded = kernel === 1 ? 0 : positions * inputs * kernel;
  return {
    kind: groups > 1 ? "grouped" : kernel === 1 ? "pointwise" : "dense",
    features: [macs / 1e6, unfolded / 1e6, (positions * outputs) / 1e6],
    work,
    ms,
  };
}

/** Shortest time of a chain of convolutions on one image. */
async function timed(
  parts: readonly ConvolutionWork[],
  kernel: readonly number[],
  size: number,
): Promise<number> {
  const [time] = await shortestTimes(runtime, [chain(parts, kernel, size)], LIMITS);
  return time!;
}

function chain(parts: readonly ConvolutionWork[], kernel: readonly number[], size: number): Model {
  const nodes: Node[] = [];
  const initializers: Tensor[] = [];
  parts.forEach(({ inputs, outputs, groups, kernel: elements }, i) => {
    const shape = elements === 1 ? [1, 1] : kernel;
    initializers.push(noiseTensor(`w${i}`, [outputs, inputs / groups, ...shape]));
    const pads = shape.map((k) => k >> 1);
    nodes.push(
      nodeOf("Conv", [i === 0 ? "x" : `v${i}`, `w${i}`], [i === parts.length - 1 ? "y" : `v${i + 1}`], {
        group: { type: "int", value: groups },
        kernel_shape: ints(shape),
        pads: ints([...pads, ...pads]),
      }),
    );
  });
  return benchModel(nodes, initializers, [1, parts[0]!.inputs, size, size]);
}

/**
 * Rates ≥ 0 for which time ≈ rate·features, by coordinate descent on the relative error, with far-off samples (another process
 * had the core) weighted down over a few rounds.
 */
function fittedRates(of: readonly Sample[]): number[] {
  const rates = [0.1, 0.1, 0.1];
  let weights = of.map(({ ms }) => 1 / ms ** 2);
  for (let round = 0; round < 20; round++) {
    for (let sweep = 0; sweep < 500; sweep++) {
      for (let j = 0; j < rates.length; j++) {
        let [above, below] = [0, 0];
        of.forEach(({ features, ms }, i) => {
          const others = features.reduce((sum, f, k) => (k === j ? sum : sum + f * rates[k]!), 0);
          above += weights[i]! * features[j]! * (ms - others);
          below += weights[i]! * features[j]! ** 2;
        });
        rates[j] = below > 0 ? Math.max(0, above / below) : 0;
      }
    }
    weights = of.map(({ features, ms }) => {
      const predicted = features.reduce((sum, f, k) => sum + f * rates[k]!, 0);
      return 1 / ms ** 2 / (Math.abs(predicted / ms - 1) + 0.05);
    });
  }
  return rates;
}
