import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { RECOGNISER } from "./test/runtime/same-bits.ts";

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
          testTimeout: 60_000,
          pool: "forks",
        },
      },
      {
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: { TEST_MIGRATIONS: await readD1Migrations("./migrations") },
              dataBlobBindings: { OCR_RECOGNISER: RECOGNISER },
            },
          })),
        ],
        test: {
          name: "workerd",
          include: ["test/**/*.workerd.test.ts"],
          testTimeout: 60_000,
        },
      },
    ],
  },
});
