import type { Mix } from "../../../schemas/mix.ts";

/** Equal figures but for the speed; nothing of them matters where types and shares are forced. */
function device(name: string, count: number, flops: number): Mix[number] {
  return {
    accelerator: {
      name,
      flops: { fp32: flops },
      memory_bytes: 1e9,
      memory_bandwidth: 1e11,
      link: { bandwidth: 1e12, latency: 0 },
    },
    count,
  };
}

/** The mixes of the benchmark: with such slow devices and fast links every one of them takes part. */
export const MIXES: Readonly<Record<string, Mix>> = {
  "two unlike devices": [device("fast", 1, 3e8), device("slow", 1, 1e8)],
  "three devices": [device("fast", 2, 3e8), device("slow", 1, 1e8)],
  "eight devices in two groups": [device("fast", 4, 3e8), device("slow", 4, 1e8)],
};
