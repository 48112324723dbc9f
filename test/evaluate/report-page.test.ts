import { describe, expect, test } from "vitest";
import { Report } from "../../schemas/report.ts";
import { reportPage } from "../../src/evaluate/report-page.ts";

const both = (original: number, compressed: number) => ({ original, compressed });

const report = Report.parse({
  model: { sha256: "a".repeat(64), opset: 13, nodes: both(3, 2) },
  artifact: { sha256: "b".repeat(64) },
  bytes: both(10_800_000, 5_400_000),
  parameters: { total: both(2_700_000, 2_700_000), nonzero: both(2_700_000, 540_000) },
  macs: both(1e9, 5e8),
  fidelity: {
    data: "synthetic",
    samples: 8,
    outputs: [
      {
        output: "<script>alert(1)</script>",
        r2: 0.999,
        cosine: 1,
        max_abs_difference: 0.01,
        top1_agreement: null,
      },
    ],
    min_r2: 0.999,
  },
  accuracy: null,
  latency_ms: { original: 12, compressed: 6, runs: 5 },
  layers: [
    {
      name: 'conv"1&',
      op: "Conv",
      method: "sparsity",
      reason: null,
      bytes: both(1000, 400),
      parameters: both(250, 250),
      nonzero: both(250, 50),
      macs: both(null as unknown as number, null as unknown as number),
      weight_error: 0.01,
      layer_error: 0.01,
    },
  ],
  lossless: [],
  steps: [{ name: "inspect", seconds: 0.1, bytes_read: 100, bytes_written: 0, peak_bytes: 2_000_000 }],
  warnings: ["<b>careful</b>"],
  engine: { version: "0.1.0", runtime: "onnxruntime-web" },
});

describe("the report page", () => {
  test("shows what was measured", () => {
    const page = reportPage(report, null);
    expect(page).toContain("<td>Bytes</td><td>10.8 MB</td><td>5.40 MB</td><td>-50.0 %</td>");
    expect(page).toContain(
      "<td>Latency (median of 5 runs)</td><td>12.0 ms</td><td>6.00 ms</td><td>-50.0 %</td>",
    );
    expect(page).not.toContain("<h2>Plan</h2>");
  });

  test("escapes everything that a model brings along, and runs or loads nothing", () => {
    const page = reportPage(report, null);
    expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(page).toContain("conv&quot;1&amp;");
    expect(page).toContain("&lt;b&gt;careful&lt;/b&gt;");
    expect(page).not.toMatch(/<script|<link|<img|https?:/i);
  });
});
