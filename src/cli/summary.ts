import type { Plan, PlanVerification } from "../../schemas/plan.ts";
import type { Report } from "../../schemas/report.ts";
import type { ModelSummary } from "../../schemas/resources.ts";
import { comparedFigures, comparedTitle, type Figures, timesThePlan } from "../partition/comparison.ts";
import { bytes, change, quantity, seconds, significant, table } from "./table.ts";

/**
 * What was measured, as a table for people.
 * @param extra rows that stand below the bytes
 */
export function reportTable(report: Report, extra: readonly string[][] = []): string {
  const { total, nonzero } = report.parameters;
  const rows = [
    ["", "before", "after", "change"],
    row("bytes", report.bytes, bytes),
    ...extra,
    row("parameters", total, quantity),
    row("non-zero", nonzero, quantity),
  ];
  if (report.macs) rows.push(row("MACs", report.macs, quantity));
  if (report.latency_ms) rows.push(row("latency", report.latency_ms, (ms) => seconds(ms / 1000)));
  if (report.accuracy) {
    rows.push(row("accuracy", report.accuracy, (share) => `${(share * 100).toFixed(2)} %`));
  }
  return table(rows);
}

/** How far the outputs moved, a line an output. */
export function fidelityTable(fidelity: NonNullable<Report["fidelity"]>): string {
  return table([
    ["output", "R²", "cosine", "max |Δ|", "top-1"],
    ...fidelity.outputs.map((output) => [
      output.output,
      share(output.r2),
      share(output.cosine),
      significant(output.max_abs_difference),
      output.top1_agreement === null ? "–" : `${(output.top1_agreement * 100).toFixed(2)} %`,
    ]),
  ]);
}

const BASELINES = [
  ["data_parallel", "data parallel"],
  ["owt", "one weird trick"],
  ["hypar", "HyPar"],
  ["accpar", "AccPar"],
] as const;

/** The plan against its baselines. */
export function planTable(plan: Plan): string {
  const figures = comparedFigures(plan);
  const rows = [
    ["", "step time", ...figures.map(({ title }) => title), "communication", comparedTitle(plan)],
  ];
  const line = (name: string, part: Figures) => {
    const times = timesThePlan(plan, part);
    return [
      name,
      seconds(part.step_time_s),
      ...figures.map(({ text }) => text(part)),
      bytes(part.communication_bytes),
      times === null ? "" : `${significant(times)}×`,
    ];
  };
  rows.push(line("hone", plan));
  for (const [key, name] of BASELINES) rows.push(line(name, plan.baselines[key]));
  const checked = plan.verification ? `\n${verificationLine(plan.verification)}` : "";
  return `${table(rows)}${checked}`;
}

/** What running the plan has shown, in one line. */
export function verificationLine(verification: PlanVerification): string {
  const { status, reason, worst, devices, samples, boundaries, undivided } = verification;
  if (status === "skipped") return `verification skipped: ${reason}`;
  const error = worst === null ? "–" : (worst.relative_error?.toExponential(1) ?? "not finite");
  const ran = `${devices} virtual devices, ${samples} samples, ${boundaries} boundaries, worst relative error ${error}`;
  const whole = undivided.length > 0 ? `, ${undivided.length} layers run whole` : "";
  return `verification ${status} (${ran}${whole})${reason ? `: ${reason}` : ""}`;
}

export function planHeading(plan: Plan): string {
  const mix = plan.mix.map(({ accelerator, count }) => {
    const name = typeof accelerator === "string" ? accelerator : accelerator.name;
    return `${name}:${count}`;
  });
  const served = plan.serving === "throughput" ? " for throughput" : "";
  return `${plan.mode}${served} on ${mix.join(",")}, batch ${plan.batch} (estimated by the ${plan.cost_model} cost model)`;
}

export function modelTable(model: ModelSummary): string {
  const tensor = ({ name, type, shape }: ModelSummary["inputs"][number]) =>
    `${name} ${type}[${(shape ?? ["…"]).map((dim) => dim ?? "?").join(",")}]`;
  const facts = table([
    ["opset", `${model.opset} (IR ${model.ir_version})`],
    ["nodes", String(model.nodes)],
    ["parameters", quantity(model.parameters)],
    ["bytes", bytes(model.bytes)],
    ["MACs", model.macs === null ? "unknown" : quantity(model.macs)],
  ]);
  const layers = table([
    ["layer", "op", "shape", "parameters", "bytes", "MACs"],
    ...model.layers.map((layer) => [
      layer.name,
      layer.op,
      layer.shape.join("×"),
      quantity(layer.parameters),
      bytes(layer.bytes),
      layer.macs === null ? "–" : quantity(layer.macs),
    ]),
  ]);
  return [
    ...model.inputs.map((input) => `input   ${tensor(input)}`),
    ...model.outputs.map((output) => `output  ${tensor(output)}`),
    "",
    facts,
    "",
    layers,
  ].join("\n");
}

function row(
  name: string,
  { original, compressed }: { original: number; compressed: number },
  format: (value: number) => string,
): string[] {
  return [name, format(original), format(compressed), change(original, compressed)];
}

function share(value: number | null): string {
  return value === null ? "–" : value.toFixed(5);
}
