import type { Plan } from "../../schemas/plan.ts";

/** What a plan and each of its baselines say of themselves. */
export type Figures = Pick<
  Plan,
  | "step_time_s"
  | "samples_per_s"
  | "energy_j"
  | "price_usd"
  | "communication_bytes"
  | "communication_elements"
>;

/** A column of a table that compares them. */
export interface ComparedFigure {
  readonly title: string;
  text(figures: Figures): string;
}

/** Columns beside time and communication that a plan has something to say in: its rate, energy and price. */
export function comparedFigures(plan: Plan): ComparedFigure[] {
  const columns: ComparedFigure[] = [];
  if (plan.serving === "throughput") {
    columns.push({ title: "samples/s", text: ({ samples_per_s }) => rounded(samples_per_s) });
  }
  if (plan.energy_j !== null) columns.push({ title: "energy", text: ({ energy_j }) => joules(energy_j) });
  if (plan.price_usd !== null) {
    columns.push({
      title: "per million steps",
      text: ({ price_usd }) => (price_usd === null ? "–" : `$${rounded(1e6 * price_usd)}`),
    });
  }
  return columns;
}

/** What {@link timesThePlan} compares, as the head of its column. */
export function comparedTitle({ cost_model, objective, serving }: Plan): string {
  if (cost_model === "accpar") return "times the elements";
  if (objective === "energy") return "times the energy";
  if (objective === "cost") return "times the price";
  return serving === "throughput" ? "times the period" : "times the step";
}

/** How many times what the plan spends a baseline does, of what the plan makes least; null where there is nothing to divide by. */
export function timesThePlan(plan: Plan, baseline: Figures): number | null {
  const [own, other] = [plan, baseline].map((figures) => spentBy(plan, figures)) as [number, number];
  return own > 0 && Number.isFinite(other) ? other / own : null;
}

function spentBy({ cost_model, objective, serving }: Plan, figures: Figures): number {
  if (cost_model === "accpar") return figures.communication_elements ?? Number.NaN;
  if (objective === "energy") return figures.energy_j ?? Number.NaN;
  if (objective === "cost") return figures.price_usd ?? Number.NaN;
  return serving === "throughput" ? 1 / figures.samples_per_s : figures.step_time_s;
}

const PREFIXES = ["µ", "m", "", "k", "M", "G"];

/** 0.0123 → "12.3 mJ". */
function joules(energy: number | null): string {
  if (energy === null) return "–";
  let value = energy * 1e6;
  let prefix = 0;
  while (value >= 1000 && prefix < PREFIXES.length - 1) {
    value /= 1000;
    prefix++;
  }
  return `${rounded(value)} ${PREFIXES[prefix]}J`;
}

/** Three digits, or all before the point. */
function rounded(value: number): string {
  if (value === 0) return "0";
  return value >= 1000 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(3);
}
