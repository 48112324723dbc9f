import { join } from "node:path";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { RECOGNISER } from "./test/runtime/same-bits.ts";

const ORT_WASM = "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";

const fileOf = (path: string) => join(import.meta.dirname, path);

/**
 * Two projects: `*.workerd.test.ts` run inside workerd with real D1, R2, Queues and Workflows; every other
 * `*.test.ts` runs in Node.
 */
export default defineConfig({
  test: {
    reporters: ["default", "./test/summary-reporter.ts"],
    projects: [
      {
        test: {
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/**/*.workerd.test.ts"],
          // Only what hangs is to end: whole compressions take a minute where other work has the cores.
          testTimeout: 180_000,
          pool: "forks",
          // A core each: nothing here measures time. vitest alone would leave one idle.
          maxWorkers: "100%",
          sequence: { groupOrder: 0 },
        },
      },
      {
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                TEST_MIGRATIONS: await readD1Migrations("./migrations"),
                MAX_BODY_BYTES: "20000000",
              },
              dataBlobBindings: {
                OCR_RECOGNISER: RECOGNISER,
                ORT_WASM: fileOf(`./node_modules/${ORT_WASM}`),
              },
            },
          })),
        ],
        resolve: {
          alias: { "onnxruntime-web/ort-wasm-simd-threaded.wasm": fileOf("./test/runtime/ort-wasm.ts") },
        },
        test: {
          name: "workerd",
          // One isolate for all files: a new one takes seconds to load the Worker. Tests keep to accounts of their own.
          isolate: false,
          maxWorkers: 1,
          // After the others: groups with other numbers of workers run one after the other.
          sequence: { groupOrder: 1 },
          include: ["test/**/*.workerd.test.ts"],
          testTimeout: 60_000,
        },
      },
    ],
  },
});
