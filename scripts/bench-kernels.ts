import type {
  EvenLevels,
  Kernels,
  ObsMask,
  QuantizationGrid,
  RegularizerName,
} from "../src/kernels/kernels.ts";
import { referenceKernels } from "../src/kernels/reference/kernels.ts";
import { nodeKernels } from "../src/kernels/wasm/node.ts";
import { DataType } from "../src/onnx/data-type.ts";
import { modelBytes } from "../src/onnx/write.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { graphOf, modelOf, node, value } from "../test/compress/tiny.ts";
import type { Problem } from "../test/kernels/every-kernel.ts";
import { singles } from "../test/kernels/matrices.ts";
import { markdownTable, writeSection } from "./benchmarks-file.ts";

/**
 * Times the WASM kernels: products against onnxruntime-web's MatMul, taking turns; OBS and the steps of solvers
 * against products of as many multiply-adds; every kernel against the reference. Writes its tables into BENCHMARKS.md.
 */
const BLOCK = 128;
/** Of numbers even in [-1, 1] they make about half zero; of groups, which are all alike, none. */
const THRESHOLDS = { l1: 0.5, l0: 0.125, hoyer_square: 0.2, group_hoyer_square: 0.2, transformed_l1: 0.25 };
const REGULARIZERS = ["l1", "l0", "hoyer_square", "group_hoyer_square", "transformed_l1"] as const;
const SMALL = 192;
const LARGE = 1024;
const calls: Readonly<Record<string, (kernels: Kernels, layer: Problem) => unknown>> = {
  matmul: (k, { m, n, w, u }) => k.matmul(w, u, m, n, n),
  matmulTransposed: (k, { m, n, w, u }) => k.matmulTransposed(w, u, m, n, n),
  addGram: (k, { m, n, w }) => k.addGram(new Float32Array(n * n), w, m, n),
  cholesky: (k, { n, h }) => k.cholesky(h, n),
  "solveCholesky, n right sides": (k, { n, h }) => k.solveCholesky(h, h, n, n),
  inverseFactor: (k, { n, h }) => k.inverseFactor(h, n),
  eigen: (k, { n, h }) => k.eigen(h, n),
  svd: (k, { m, n, w }) => k.svd(Float64Array.from(w), m, n),
  "obsPrune 50%": (k, { m, n, w, u }) =>
    k.obsPrune(w, u, m, n, { kind: "unstructured", ratio: 0.5, blockSize: BLOCK }),
  "obsQuantize int4": (k, { m, n, w, u }) => k.obsQuantize(w, u, m, n, int4(m, n)),
  "obsOrder 6%": (k, { m, n, w, u }) => k.obsOrder(w, u, m, n, n >> 4, n),
  fitScales: (k, { n, w }) => k.fitScales(w, new Float32Array(n).fill(1), int8(n), false),
  nearestCodes: (k, { m, n, w }) => k.nearestCodes(w, new Float32Array(m).fill(0.01), int8(n)),
  ...Object.fromEntries(REGULARIZERS.map((name) => [`fistaStep ${name}`, fista(name)])),
  admmStep: admm,
};

const kernels = await nodeKernels();
const runtime = await nodeRuntime();

const products: string[][] = [];
for (const n of [64, 256, 512, 1024]) products.push(await timeProduct(n));
const walks: string[][] = [];
for (const n of [256, 512, 1024]) walks.push(...(await timeWalks(layer(n))));
const steps: string[][] = [];
for (const n of [256, 576, 1152]) steps.push(...(await timeSteps(layer(n))));
const all = await timeAll();

await writeSection(
  "kernels",
  `## Numeric kernels

Written by \`npm run bench:kernels\`: medians in milliseconds on one thread, with the copies into and out of WASM.

Products of two n × n matrices in single precision against onnxruntime-web's MatMul, taking turns:

${markdownTable(["n", "WASM", "onnxruntime-web", "GFLOP/s", "its GFLOP/s", "speed-up"], products)}

OBS over an n × n layer in blocks of ${BLOCK} columns, against a product of as many multiply-adds, taking turns (half of the time of W·U, since U is a triangle):

${markdownTable(["n", "walk", "OBS", "product alone", "ratio"], walks)}

Steps of FISTA and ADMM over an n × n layer, against a product of as many multiply-adds (W·H once for FISTA, twice for ADMM), taking turns:

${markdownTable(["n", "step", "step ms", "products alone", "ratio"], steps)}

Every kernel against the reference in double precision at n = ${SMALL}, and alone at n = ${LARGE}:

${markdownTable(["kernel", "reference", "WASM", "speed-up", `WASM, n = ${LARGE}`], all)}`,
);

async function timeProduct(n: number): Promise<string[]> {
  const shape = [n, n];
  const graph = graphOf({
    nodes: [node("MatMul", ["a", "b"], ["y"])],
    inputs: [value("a", shape), value("b", shape)],
    outputs: [value("y", shape)],
  });
  const session = await runtime.load(await modelBytes(modelOf(graph)));
  const [a, b] = [singles(n * n, 1), singles(n * n, 2)];
  const feed = (data: Float32Array) => ({ dataType: DataType.FLOAT, dims: shape, data });
  const feeds = { a: feed(a), b: feed(b) };
  const [ours, theirs] = await medians(21, [() => kernels.matmul(a, b, n, n, n), () => session.run(feeds)]);
  await session.release();
  const rate = (time: number) => ((2 * n ** 3) / time / 1e6).toFixed(1);
  return [`${n}`, ms(ours!), ms(theirs!), rate(ours!), rate(theirs!), `${(theirs! / ours!).toFixed(2)}×`];
}

async function timeWalks({ m, n, w, u }: Problem): Promise<string[][]> {
  const pruned = Uint8Array.from(w, (x) => (x < 0 ? 1 : 0));
  const masks: Record<string, ObsMask> = {
    "unstructured 50%": { kind: "unstructured", ratio: 0.5, blockSize: BLOCK },
    "2:4": { kind: "n:m", zeros: 2, group: 4, blockSize: BLOCK },
    "given mask": { kind: "given", pruned, blockSize: BLOCK },
  };
  const runs = Object.entries(masks).map(([name, mask]) => ({
    name,
    run: () => kernels.obsPrune(w, u, m, n, mask),
  }));
  const walks = [...runs, { name: "int4", run: () => kernels.obsQuantize(w, u, m, n, int4(m, n)) }];
  const [whole, ...times] = await medians(11, [
    () => kernels.matmul(w, u, m, n, n),
    ...walks.map((w) => w.run),
  ]);
  const product = whole! / 2;
  return walks.map(({ name }, i) => [
    `${n}`,
    name,
    ms(times[i]!),
    ms(product),
    `${(times[i]! / product).toFixed(2)}×`,
  ]);
}

async function timeSteps(layer: Problem): Promise<string[][]> {
  const { m, n, w, u } = layer;
  const runs = [...REGULARIZERS.map((name) => ({ name, run: fista(name) })), { name: "ADMM", run: admm }];
  const [product, ...times] = await medians(7, [
    () => kernels.matmul(w, u, m, n, n),
    ...runs.map(
      ({ run }) =>
        () =>
          run(kernels, layer),
    ),
  ]);
  return runs.map(({ name }, i) => {
    const products = name === "ADMM" ? 2 * product! : product!;
    return [
      `${n}`,
      name === "ADMM" ? name : `FISTA, ${name}`,
      ms(times[i]!),
      ms(products),
      `${(times[i]! / products).toFixed(2)}×`,
    ];
  });
}

/** U stands for H, whose numbers cost no time. */
function fista(regularizer: RegularizerName) {
  return (k: Kernels, { m, n, w, u }: Problem) =>
    k.fistaStep({ m, n, segment: n, w, h: u, norm: n, regularizer }, w, w, 0.5, THRESHOLDS[regularizer]);
}

function admm(k: Kernels, { m, n, w, u }: Problem) {
  const zeroed = new Uint8Array(m * n).fill(1, 0, (m * n) >> 1);
  const values = new Float64Array(n).fill(1);
  return k.admmStep({ m, n, w, values, vectors: u }, w, zeroed, {
    penalty: 0.1,
    decay: 0.9,
    relaxation: 1.6,
  });
}

async function timeAll(): Promise<string[][]> {
  const [small, large] = [layer(SMALL), layer(LARGE)];
  const rows: string[][] = [];
  for (const [name, run] of Object.entries(calls)) {
    const [slow, fast] = await medians(3, [() => run(referenceKernels, small), () => run(kernels, small)]);
    const [alone] = await medians(3, [() => run(kernels, large)]);
    rows.push([name, ms(slow!), ms(fast!), `${(slow! / fast!).toFixed(1)}×`, ms(alone!)]);
  }
  return rows;
}

function int4(m: number, n: number): QuantizationGrid {
  const scales = new Float32Array(m).fill(0.1);
  return { least: -8, most: 7, scales, group: n, keepZeros: false, blockSize: BLOCK };
}

function int8(n: number): EvenLevels {
  return { least: -127, most: 127, group: n };
}

/** A square layer with inputs that depend on each other. */
function layer(n: number): Problem {
  const gram = new Float32Array(n * n);
  kernels.addGram(gram, singles(2 * n * n, 3), 2 * n, n);
  const h = Float64Array.from(gram, (x, i) => x / n + (i % (n + 1) === 0 ? 0.05 : 0));
  return { m: n, n, w: singles(n * n, 4), u: kernels.inverseFactor(h, n), h };
}

/** Median milliseconds of each, taking turns after one run to warm up. */
async function medians(rounds: number, runs: readonly (() => unknown)[]): Promise<number[]> {
  const times = runs.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, run] of runs.entries()) {
      const start = performance.now();
      await run();
      if (round > 0) times[i]!.push(performance.now() - start);
    }
  }
  return times.map((list) => list.sort((a, b) => a - b)[list.length >> 1]!);
}

function ms(time: number): string {
  return time.toPrecision(3);
}
