import { z } from "zod";
import { Accelerator } from "./mix.ts";

/**
 * The catalogue of accelerators: vendors' peak figures, dense (without structured sparsity), each with its source.
 * Link bandwidth is per direction, so half of a vendor's bidirectional figure. Prices are public on-demand list
 * prices in US dollars of one device; they age faster than the rest.
 */
const Sources = z.strictObject({
  flops: z.string(),
  memory_bytes: z.string(),
  memory_bandwidth: z.string(),
  watts: z.string().optional(),
  price_per_hour: z.string().optional(),
  link: z.string().optional(),
  sparse_2_4: z.string().optional(),
});

export const CatalogueEntry = z
  .strictObject({ ...Accelerator.shape, title: z.string(), sources: Sources })
  .describe("An accelerator of the catalogue, with the source of each figure.");
export type CatalogueEntry = z.infer<typeof CatalogueEntry>;

const T = 1e12;
const GB = 1e9;

/** One source for everything, with what differs. */
const from = (all: string, own: Partial<CatalogueEntry["sources"]> = {}): CatalogueEntry["sources"] => ({
  flops: all,
  memory_bytes: all,
  memory_bandwidth: all,
  ...own,
});

const ACCPAR = "AccPar, HPCA 2020, section 6 (a board of four chips, as published)";
const TPU_PAPER = "Jouppi et al., Ten Lessons From Three Generations, ISCA 2021, table 1";
const TPU_PRICE = "Google Cloud TPU pricing, cloud.google.com/tpu/pricing, on demand";
const V100 = "NVIDIA Tesla V100 datasheet (SXM2 32 GB)";
const A100 = "NVIDIA A100 datasheet (SXM 80 GB)";
const H100 = "NVIDIA H100 datasheet (SXM), figures with sparsity halved";
const H200 = "NVIDIA H200 datasheet (SXM), figures with sparsity halved";
const B200 = "NVIDIA HGX B200 and DGX B200 datasheets, per GPU, figures with sparsity halved";
const L4 = "NVIDIA L4 datasheet, figures with sparsity halved";
const T4 = "NVIDIA T4 datasheet";
const ADA = "NVIDIA Ada GPU architecture whitepaper, appendix A (RTX 4090), dense, FP32 accumulate";
const MI300X = "AMD Instinct MI300X datasheet, dense";
const ORIN = "NVIDIA Jetson AGX Orin series technical brief (64 GB), GPU only, dense";
const ZEN4 = "AMD EPYC 9654: 96 cores × 2.4 GHz × 32 FP32 FLOP a cycle (two 256-bit FMA); BF16 ×2, VNNI ×4";
const EC2 = "Amazon EC2 on-demand, us-east-1";
const GCE = "Google Cloud GPU pricing, us-central1, on demand";
const PCIE4 = "PCI Express 4.0 ×16, one direction";

export const ACCELERATORS: readonly CatalogueEntry[] = [
  {
    name: "generic",
    title: "Generic device for counting communication",
    flops: { fp32: 10 * T, fp16: 10 * T, int8: 10 * T },
    memory_bytes: 32 * GB,
    memory_bandwidth: 500 * GB,
    link: { bandwidth: 10 * GB },
    sources: from(
      "round figures, no real device: meant for the accpar cost model, which counts elements only",
      {
        link: "round figure",
      },
    ),
  },
  {
    name: "tpu-v2",
    title: "Google Cloud TPU v2 (board of four chips)",
    flops: { bf16: 180 * T },
    memory_bytes: 64 * GB,
    memory_bandwidth: 2400 * GB,
    watts: 1120,
    price_per_hour: 4.5,
    link: { bandwidth: 1 * GB },
    sources: from(ACCPAR, {
      watts: `${TPU_PAPER}: 280 W a chip`,
      price_per_hour: `${TPU_PRICE} (v2-8)`,
      link: `${ACCPAR}: 8 Gb/s`,
    }),
  },
  {
    name: "tpu-v3",
    title: "Google Cloud TPU v3 (board of four chips)",
    flops: { bf16: 420 * T },
    memory_bytes: 128 * GB,
    memory_bandwidth: 4800 * GB,
    watts: 1800,
    price_per_hour: 8,
    link: { bandwidth: 2 * GB },
    sources: from(ACCPAR, {
      watts: `${TPU_PAPER}: 450 W a chip`,
      price_per_hour: `${TPU_PRICE} (v3-8)`,
      link: `${ACCPAR}: 16 Gb/s`,
    }),
  },
  {
    name: "tpu-v4",
    title: "Google Cloud TPU v4 chip",
    flops: { bf16: 275 * T, int8: 275 * T },
    memory_bytes: 32 * GB,
    memory_bandwidth: 1200 * GB,
    watts: 192,
    price_per_hour: 3.22,
    link: { bandwidth: 300 * GB },
    sources: from("Google Cloud TPU v4 system architecture, cloud.google.com/tpu/docs/v4", {
      watts: "the same page: maximum power 192 W",
      price_per_hour: TPU_PRICE,
      link: "Jouppi et al., TPU v4, ISCA 2023: six links of 50 GB/s",
    }),
  },
  {
    name: "tpu-v5e",
    title: "Google Cloud TPU v5e chip",
    flops: { bf16: 197 * T, int8: 393 * T },
    memory_bytes: 16 * GB,
    memory_bandwidth: 819 * GB,
    price_per_hour: 1.2,
    link: { bandwidth: 200 * GB },
    sources: from("Google Cloud TPU v5e system architecture, cloud.google.com/tpu/docs/v5e", {
      price_per_hour: TPU_PRICE,
      link: "the same page: 1,600 Gb/s between chips",
    }),
  },
  {
    name: "tpu-v5p",
    title: "Google Cloud TPU v5p chip",
    flops: { bf16: 459 * T, int8: 918 * T },
    memory_bytes: 95 * GB,
    memory_bandwidth: 2765 * GB,
    price_per_hour: 4.2,
    link: { bandwidth: 600 * GB },
    sources: from("Google Cloud TPU v5p system architecture, cloud.google.com/tpu/docs/v5p", {
      price_per_hour: TPU_PRICE,
      link: "the same page: 4,800 Gb/s between chips",
    }),
  },
  {
    name: "v100",
    title: "NVIDIA V100 SXM2 32 GB",
    flops: { fp64: 7.8 * T, fp32: 15.7 * T, fp16: 125 * T },
    memory_bytes: 32 * GB,
    memory_bandwidth: 900 * GB,
    watts: 300,
    price_per_hour: 3.06,
    link: { bandwidth: 150 * GB },
    sources: from(V100, {
      watts: V100,
      price_per_hour: `${EC2}, p3.2xlarge`,
      link: `${V100}: NVLink 300 GB/s both ways`,
    }),
  },
  {
    name: "a100",
    title: "NVIDIA A100 SXM 80 GB",
    flops: {
      fp64: 9.7 * T,
      fp32: 19.5 * T,
      tf32: 156 * T,
      bf16: 312 * T,
      fp16: 312 * T,
      int8: 624 * T,
      int4: 1248 * T,
    },
    memory_bytes: 80 * GB,
    memory_bandwidth: 2039 * GB,
    watts: 400,
    price_per_hour: 5.07,
    sparse_2_4: true,
    link: { bandwidth: 300 * GB },
    sources: from(A100, {
      watts: A100,
      price_per_hour: `${GCE}, a2-ultragpu-1g`,
      link: `${A100}: NVLink 600 GB/s both ways`,
      sparse_2_4: A100,
    }),
  },
  {
    name: "h100",
    title: "NVIDIA H100 SXM 80 GB",
    flops: {
      fp64: 34 * T,
      fp32: 67 * T,
      tf32: 494.5 * T,
      bf16: 989.5 * T,
      fp16: 989.5 * T,
      fp8: 1979 * T,
      int8: 1979 * T,
    },
    memory_bytes: 80 * GB,
    memory_bandwidth: 3350 * GB,
    watts: 700,
    price_per_hour: 12.29,
    sparse_2_4: true,
    link: { bandwidth: 450 * GB },
    sources: from(H100, {
      watts: H100,
      price_per_hour: `${EC2}, p5.48xlarge at its introduction, an eighth of 98.32`,
      link: `${H100}: NVLink 900 GB/s both ways`,
      sparse_2_4: H100,
    }),
  },
  {
    name: "h200",
    title: "NVIDIA H200 SXM 141 GB",
    flops: {
      fp64: 34 * T,
      fp32: 67 * T,
      tf32: 494.5 * T,
      bf16: 989.5 * T,
      fp16: 989.5 * T,
      fp8: 1979 * T,
      int8: 1979 * T,
    },
    memory_bytes: 141 * GB,
    memory_bandwidth: 4800 * GB,
    watts: 700,
    sparse_2_4: true,
    link: { bandwidth: 450 * GB },
    sources: from(H200, { watts: H200, link: `${H200}: NVLink 900 GB/s both ways`, sparse_2_4: H200 }),
  },
  {
    name: "b200",
    title: "NVIDIA B200 SXM 180 GB",
    flops: {
      fp64: 37 * T,
      fp32: 75 * T,
      tf32: 1100 * T,
      bf16: 2250 * T,
      fp16: 2250 * T,
      fp8: 4500 * T,
      int8: 4500 * T,
    },
    memory_bytes: 180 * GB,
    memory_bandwidth: 8000 * GB,
    watts: 1000,
    sparse_2_4: true,
    link: { bandwidth: 900 * GB },
    sources: from(B200, { watts: B200, link: `${B200}: NVLink 1.8 TB/s both ways`, sparse_2_4: B200 }),
  },
  {
    name: "l4",
    title: "NVIDIA L4",
    flops: { fp32: 30.3 * T, tf32: 60 * T, bf16: 121 * T, fp16: 121 * T, fp8: 242.5 * T, int8: 242.5 * T },
    memory_bytes: 24 * GB,
    memory_bandwidth: 300 * GB,
    watts: 72,
    price_per_hour: 0.71,
    sparse_2_4: true,
    link: { bandwidth: 32 * GB },
    sources: from(L4, {
      watts: L4,
      price_per_hour: `${GCE}, g2-standard-4`,
      link: PCIE4,
      sparse_2_4: L4,
    }),
  },
  {
    name: "t4",
    title: "NVIDIA T4",
    flops: { fp32: 8.1 * T, fp16: 65 * T, int8: 130 * T, int4: 260 * T },
    memory_bytes: 16 * GB,
    memory_bandwidth: 300 * GB,
    watts: 70,
    price_per_hour: 0.35,
    link: { bandwidth: 16 * GB },
    sources: from(T4, { watts: T4, price_per_hour: GCE, link: `${T4}: PCI Express 3.0 ×16, one direction` }),
  },
  {
    name: "rtx-4090",
    title: "NVIDIA GeForce RTX 4090",
    flops: {
      fp32: 82.6 * T,
      tf32: 82.6 * T,
      bf16: 165.2 * T,
      fp16: 165.2 * T,
      fp8: 330.3 * T,
      int8: 660.6 * T,
      int4: 1321.2 * T,
    },
    memory_bytes: 24 * GB,
    memory_bandwidth: 1008 * GB,
    watts: 450,
    sparse_2_4: true,
    link: { bandwidth: 32 * GB },
    sources: from(ADA, { watts: ADA, link: PCIE4, sparse_2_4: ADA }),
  },
  {
    name: "mi300x",
    title: "AMD Instinct MI300X",
    flops: {
      fp64: 81.7 * T,
      fp32: 163.4 * T,
      tf32: 653.7 * T,
      bf16: 1307.4 * T,
      fp16: 1307.4 * T,
      fp8: 2614.9 * T,
      int8: 2614.9 * T,
    },
    memory_bytes: 192 * GB,
    memory_bandwidth: 5300 * GB,
    watts: 750,
    sparse_2_4: true,
    link: { bandwidth: 448 * GB },
    sources: from(MI300X, {
      watts: MI300X,
      link: `${MI300X}: seven Infinity Fabric links of 128 GB/s both ways`,
      sparse_2_4: MI300X,
    }),
  },
  {
    name: "jetson-orin",
    title: "NVIDIA Jetson AGX Orin 64 GB",
    flops: { fp32: 5.3 * T, fp16: 42.5 * T, int8: 85 * T },
    memory_bytes: 64 * GB,
    memory_bandwidth: 204.8 * GB,
    watts: 60,
    sparse_2_4: true,
    link: { bandwidth: 1.25 * GB },
    sources: from(ORIN, { watts: ORIN, link: `${ORIN}: 10 Gb/s Ethernet`, sparse_2_4: ORIN }),
  },
  {
    name: "apple-m2",
    title: "Apple M2 (10-core GPU)",
    flops: { fp32: 3.6 * T, fp16: 3.6 * T, int8: 15.8 * T },
    memory_bytes: 24 * GB,
    memory_bandwidth: 100 * GB,
    watts: 50,
    link: { bandwidth: 0.125 * GB },
    sources: from(
      "Apple newsroom, 6 June 2022, Apple unveils M2; int8 is the Neural Engine, fp16 counted as fp32",
      {
        watts: "Apple support, Mac mini power consumption (2023, M2), maximum of the whole machine",
        link: "Mac mini (2023) technical specifications: 1 Gb/s Ethernet",
      },
    ),
  },
  {
    name: "apple-m1-max",
    title: "Apple M1 Max (32-core GPU)",
    flops: { fp32: 10.4 * T, fp16: 10.4 * T, int8: 11 * T },
    memory_bytes: 64 * GB,
    memory_bandwidth: 400 * GB,
    watts: 115,
    link: { bandwidth: 1.25 * GB },
    sources: from(
      "Apple newsroom, 18 October 2021, Introducing M1 Pro and M1 Max; int8 is the Neural Engine, fp16 counted as fp32",
      {
        watts: "Apple support, Mac Studio power consumption (2022, M1 Max), maximum of the whole machine",
        link: "Mac Studio (2022) technical specifications: 10 Gb/s Ethernet",
      },
    ),
  },
  {
    name: "server-cpu",
    title: "Server CPU (AMD EPYC 9654, 96 cores)",
    flops: { fp64: 3.69 * T, fp32: 7.37 * T, bf16: 14.7 * T, int8: 29.5 * T },
    memory_bytes: 768 * GB,
    memory_bandwidth: 460.8 * GB,
    watts: 360,
    link: { bandwidth: 12.5 * GB },
    sources: from("AMD EPYC 9654 product page: 12 channels of DDR5-4800, here 64 GB each", {
      flops: ZEN4,
      watts: "AMD EPYC 9654 product page: default TDP 360 W",
      link: "assumed: 100 Gb/s Ethernet",
    }),
  },
  {
    name: "laptop-gpu",
    title: "Laptop GPU (NVIDIA RTX 4060 Laptop)",
    flops: { fp32: 11.6 * T, tf32: 14.5 * T, bf16: 29 * T, fp16: 29 * T, int8: 116 * T },
    memory_bytes: 8 * GB,
    memory_bandwidth: 256 * GB,
    watts: 115,
    sparse_2_4: true,
    link: { bandwidth: 0.1 * GB, latency: 2e-3 },
    sources: from("NVIDIA GeForce RTX 40 laptop comparison: 3,072 cores, 128-bit GDDR6 16 Gb/s, 8 GB", {
      flops:
        "3,072 cores × 2 × 1.89 GHz (boost range 1.47–2.37 GHz); tensor figures by the ratios of the Ada whitepaper",
      watts: "the same page: subsystem power up to 115 W",
      link: "assumed: 802.11ax Wi-Fi at 800 Mb/s, 2 ms",
      sparse_2_4: "NVIDIA Ada GPU architecture whitepaper",
    }),
  },
  {
    name: "phone-npu",
    title: "Phone NPU (Apple A17 Pro Neural Engine)",
    flops: { int8: 35 * T, fp16: 17.5 * T },
    memory_bytes: 8 * GB,
    memory_bandwidth: 51.2 * GB,
    watts: 8,
    link: { bandwidth: 0.05 * GB, latency: 3e-3 },
    sources: from("Apple newsroom, 12 September 2023, iPhone 15 Pro: 35 trillion operations a second", {
      flops: "Apple newsroom, 12 September 2023: 35 TOPS, taken as int8; fp16 assumed half of it",
      memory_bytes: "teardowns of iPhone 15 Pro: 8 GB LPDDR5",
      memory_bandwidth: "LPDDR5-6400, 64 bit: 6.4 Gb/s × 64 / 8",
      watts: "assumed: sustained power of a phone",
      link: "assumed: 802.11ax Wi-Fi at 400 Mb/s, 3 ms",
    }),
  },
  {
    name: "browser",
    title: "Browser, WebGPU on an integrated GPU (Intel Iris Xe, 96 EU)",
    flops: { fp32: 2.07 * T, fp16: 4.15 * T },
    memory_bytes: 4 * GB,
    memory_bandwidth: 68.3 * GB,
    watts: 28,
    link: { bandwidth: 0.0125 * GB, latency: 5e-3 },
    sources: from("Intel Core i7-1165G7 product page", {
      flops: "96 execution units × 16 FLOP a cycle × 1.35 GHz; fp16 at twice the rate",
      memory_bytes: "assumed: what one tab gets",
      memory_bandwidth: "LPDDR4X-4267, 128 bit",
      watts: "Intel Core i7-1165G7 product page: 28 W",
      link: "assumed: 100 Mb/s Internet access, 5 ms",
    }),
  },
  {
    name: "browser-wasm",
    title: "Browser or edge isolate, one WASM thread with SIMD",
    flops: { fp32: 0.026 * T },
    memory_bytes: 4 * GB,
    memory_bandwidth: 10 * GB,
    watts: 15,
    link: { bandwidth: 0.0125 * GB, latency: 5e-3 },
    sources: from("a 32-bit WASM memory", {
      flops: "measured by this project: onnxruntime-web's MatMul, 26 GFLOP/s on one core",
      memory_bandwidth: "assumed: one core's share",
      watts: "assumed: a laptop under load",
      link: "assumed: 100 Mb/s Internet access, 5 ms",
    }),
  },
];
