import type { Plan, PlanVerification } from "../../schemas/plan.ts";
import type { LayerReport, Report } from "../../schemas/report.ts";
import { comparedFigures, comparedTitle, type Figures, timesThePlan } from "../partition/comparison.ts";

/** Layers shown; a page with more is of no use to people, and the JSON has them all. */
const MAX_LAYERS = 500;

/**
 * A report as one HTML page for people: no script, nothing to load. Everything that comes from a model is escaped.
 * @param picture an SVG of the plan, drawn by Hone itself
 */
export function reportPage(report: Report, plan: Plan | null, picture: string | null = null): string {
  const sections = [
    section("Measured", measured(report)),
    report.fidelity ? section("Fidelity", fidelity(report.fidelity)) : "",
    plan ? section("Plan", planned(plan, picture)) : "",
    section("Layers", layers(report.layers)),
    section("Steps", steps(report)),
    report.warnings.length > 0
      ? section("Warnings", `<ul>${report.warnings.map((text) => `<li>${escaped(text)}</li>`).join("")}</ul>`)
      : "",
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hone report</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Hone report</h1>
<p>Upload <code>${report.model.sha256.slice(0, 12)}</code> → artifact <code>${report.artifact.sha256.slice(0, 12)}</code> · ${escaped(report.engine.runtime)} · Hone ${escaped(report.engine.version)}</p>
${sections.join("\n")}
</body>
</html>
`;
}

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --bar: #3b82f6; --was: #9ca3af; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child, .text { text-align: left; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
`;

function section(title: string, content: string): string {
  return `<section>\n<h2>${title}</h2>\n${content}\n</section>`;
}

function measured(report: Report): string {
  const { total, nonzero } = report.parameters;
  const rows: Row[] = [
    { name: "Bytes", ...report.bytes, show: bytes },
    { name: "Parameters", ...total, show: quantity },
    { name: "Non-zero parameters", ...nonzero, show: quantity },
  ];
  if (report.macs) rows.push({ name: "Multiply-accumulates", ...report.macs, show: quantity });
  if (report.latency_ms) {
    rows.push({ name: `Latency (median of ${report.latency_ms.runs} runs)`, ...report.latency_ms, show: ms });
  }
  if (report.accuracy) rows.push({ name: "Top-1 accuracy", ...report.accuracy, show: percent });
  const body = rows.map((row) => [
    row.name,
    row.show(row.original),
    row.show(row.compressed),
    change(row.original, row.compressed),
  ]);
  return bars(rows) + table(["", "Before", "After", "Change"], body);
}

interface Row {
  readonly name: string;
  readonly original: number;
  readonly compressed: number;
  readonly show: (value: number) => string;
}

/** A bar a figure: the artifact over the upload. */
function bars(rows: readonly Row[]): string {
  const shown = rows.filter((row) => row.original > 0);
  const lines = shown.map((row, i) => {
    const y = 26 * i;
    const share = Math.min(row.compressed / row.original, 1);
    return [
      `<text x="0" y="${y + 15}" fill="currentColor">${escaped(row.name)}</text>`,
      `<rect x="250" y="${y + 3}" width="400" height="16" rx="3" fill="var(--was)" opacity=".35"/>`,
      `<rect x="250" y="${y + 3}" width="${(400 * share).toFixed(1)}" height="16" rx="3" fill="var(--bar)"/>`,
      `<text x="660" y="${y + 15}" fill="currentColor">${percent(row.compressed / row.original)}</text>`,
    ].join("");
  });
  return `<svg viewBox="0 0 730 ${26 * shown.length}" width="730" role="img" aria-label="After, in percent of before" font-family="inherit" font-size="13">${lines.join("")}</svg>\n`;
}

function fidelity(measuredFidelity: NonNullable<Report["fidelity"]>): string {
  const { data, samples, outputs } = measuredFidelity;
  const rows = outputs.map((output) => [
    output.output,
    orDash(output.r2, (value) => value.toFixed(6)),
    orDash(output.cosine, (value) => value.toFixed(6)),
    output.max_abs_difference.toPrecision(3),
    orDash(output.top1_agreement, percent),
  ]);
  const on = data === "calibration" ? "calibration" : "synthetic";
  return `<p>On ${samples} ${on} samples.</p>\n${table(["Output", "R²", "Cosine", "Largest difference", "Same top-1"], rows)}`;
}

const BASELINES = [
  ["data_parallel", "Data parallel"],
  ["owt", "One weird trick"],
  ["hypar", "HyPar"],
  ["accpar", "AccPar"],
] as const;

function planned(plan: Plan, picture: string | null): string {
  const mix = plan.mix.map(({ accelerator, count }) => {
    return `${typeof accelerator === "string" ? accelerator : accelerator.name} × ${count}`;
  });
  const figures = comparedFigures(plan);
  const head = ["", "step time", ...figures.map(({ title }) => title), "communication", comparedTitle(plan)];
  const line = (name: string, part: Figures) => {
    const times = timesThePlan(plan, part);
    return [
      name,
      ms(1000 * part.step_time_s),
      ...figures.map(({ text }) => text(part)),
      bytes(part.communication_bytes),
      times === null ? "–" : `${times.toFixed(2)}×`,
    ];
  };
  const rows = [line("Hone", plan), ...BASELINES.map(([key, name]) => line(name, plan.baselines[key]))];
  const devices = plan.devices.map((device) => [
    device.name,
    bytes(device.memory_bytes),
    bytes(device.memory_limit_bytes),
    ms(1000 * device.busy_s),
  ]);
  return [
    `<p>${escaped(mix.join(", "))}: ${plan.mode}${plan.serving === "throughput" ? " for throughput" : ""}, batch ${plan.batch}. Times are estimated by the ${plan.cost_model} cost model.</p>`,
    table(
      head.map((title) => title.charAt(0).toUpperCase() + title.slice(1)),
      rows,
    ),
    picture === null ? "" : `<div class="scroll">${picture}</div>`,
    table(["Device", "Memory", "Of", "Busy"], devices),
    plan.verification ? `<p>${escaped(verified(plan.verification))}</p>` : "",
    ...plan.notes.map((note) => `<p>${escaped(note)}</p>`),
  ].join("\n");
}

function verified({ status, reason, worst, devices, samples, boundaries }: PlanVerification): string {
  if (status === "skipped") return `Not verified by running it: ${reason ?? ""}.`;
  const error = worst?.relative_error?.toExponential(1) ?? "–";
  const ran = `${devices} virtual devices, ${samples} samples, ${boundaries} boundaries, largest relative error ${error}`;
  return `Run on virtual devices and compared with the whole model: ${status} (${ran})${reason ? `: ${reason}` : ""}.`;
}

function layers(all: readonly LayerReport[]): string {
  const rows = all
    .slice(0, MAX_LAYERS)
    .map((layer) => [
      layer.name,
      layer.op,
      layer.reason === null ? layer.method : `${layer.method}: ${layer.reason}`,
      bytes(layer.bytes.original),
      bytes(layer.bytes.compressed),
      quantity(layer.nonzero.compressed),
      layer.weight_error === 0 ? "0" : layer.weight_error.toPrecision(2),
    ]);
  const more = all.length > MAX_LAYERS ? `<p>${all.length - MAX_LAYERS} more in the JSON report.</p>` : "";
  const head = ["Layer", "Operator", "Method", "Before", "After", "Non-zero", "Weight error"];
  return `<div class="scroll">${table(head, rows, [1, 2])}</div>${more}`;
}

function steps(report: Report): string {
  const rows = report.steps.map((step) => [
    step.name,
    ms(1000 * step.seconds),
    bytes(step.bytes_read),
    bytes(step.bytes_written),
    bytes(step.peak_bytes),
  ]);
  return table(["Step", "Time", "Read", "Written", "Held at most"], rows);
}

function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  textColumns: readonly number[] = [],
): string {
  const cells = (tag: "th" | "td", row: readonly string[]) =>
    row
      .map((cell, i) => `<${tag}${textColumns.includes(i) ? ' class="text"' : ""}>${escaped(cell)}</${tag}>`)
      .join("");
  return `<table>
<thead><tr>${cells("th", head)}</tr></thead>
<tbody>
${rows.map((row) => `<tr>${cells("td", row)}</tr>`).join("\n")}
</tbody>
</table>`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character]!);
}

function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let scaled = value;
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${unit === 0 ? scaled : scaled.toPrecision(3)} ${units[unit]}`;
}

function quantity(value: number): string {
  if (value < 10_000) return String(value);
  const units = ["k", "M", "G", "T", "P"];
  let unit = 0;
  let scaled = value / 1000;
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${scaled.toPrecision(3)} ${units[unit]}`;
}

function ms(value: number): string {
  return value >= 1000 ? `${(value / 1000).toPrecision(3)} s` : `${value.toPrecision(3)} ms`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function change(before: number, after: number): string {
  if (before === 0) return "–";
  const share = (after - before) / before;
  return `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)} %`;
}

function orDash<T>(value: T | null, show: (value: T) => string): string {
  return value === null ? "–" : show(value);
}
