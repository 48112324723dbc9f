import type { Plan } from "../../schemas/plan.ts";

/** Most columns and rows that are drawn; more layers share a column, more devices are left to the JSON. */
const MAX_COLUMNS = 160;
const MAX_ROWS = 24;

const LEFT = 150;
const WIDTH = 760;
const BARS = 70;
const ROW = 20;

type PlanLayer = Plan["layers"][number];

/**
 * A plan as a self-contained SVG: per layer its time and what it moves, per kind of device its share of the layer,
 * coloured by the outermost partition type, and below the step against its baselines. Follows the reader's light
 * or dark scheme.
 */
export function planPicture(plan: Plan): string {
  const columns = columnsOf(plan.layers);
  const rows = rowsOf(plan);
  const width = WIDTH / Math.max(1, columns.length);
  const grid = 20 + 2 * BARS + 24;
  const legend = grid + rows.length * ROW + 18;
  const baselines = legend + 24;
  const parts = [
    ...bars(
      "time",
      columns.map(({ time }) => time),
      20,
      width,
      seconds,
      columns,
    ),
    ...bars(
      "moved",
      columns.map(({ bytes }) => bytes),
      20 + BARS + 12,
      width,
      amount,
      columns,
    ),
    ...rows.flatMap((row, r) => rowOf(row, grid + r * ROW, width, columns)),
    ...typeLegend(legend),
    ...comparison(plan, baselines),
  ];
  const height = baselines + 18 * (Object.keys(plan.baselines).length + 1) + 12;
  const title = `Partition plan: ${plan.mode}, batch ${plan.batch}, ${seconds(plan.step_time_s)} a step (estimated)`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="hone-plan" viewBox="0 0 ${LEFT + WIDTH + 20} ${height}" width="${LEFT + WIDTH + 20}" role="img" aria-label="${escaped(title)}">`,
    `<title>${escaped(title)}</title><style>${STYLE}</style>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

const STYLE = [
  ".hone-plan{font:12px system-ui,sans-serif;--ink:#1f2328;--quiet:#656d76;--line:#d0d7de;--t1:#2f6fdb;--t2:#c2571a;--t3:#1a8a5a;--bar:#7a6fd0}",
  "@media (prefers-color-scheme:dark){.hone-plan{--ink:#e6edf3;--quiet:#9198a1;--line:#3d444d;--t1:#6aa2ff;--t2:#ff9a5c;--t3:#4cc38a;--bar:#a79cff}}",
  ".hone-plan text{fill:var(--ink)}.hone-plan .quiet{fill:var(--quiet)}.hone-plan .end{text-anchor:end}",
  ".hone-plan .frame{fill:none;stroke:var(--line)}.hone-plan .bar{fill:var(--bar)}",
  ".hone-plan .I{fill:var(--t1)}.hone-plan .II{fill:var(--t2)}.hone-plan .III{fill:var(--t3)}.hone-plan .none{fill:var(--quiet)}",
].join("");

interface Column {
  readonly label: string;
  readonly time: number;
  readonly bytes: number;
  /** The layer that takes longest stands for the column. */
  readonly layer: PlanLayer;
}

function columnsOf(layers: readonly PlanLayer[]): Column[] {
  const each = Math.max(1, Math.ceil(layers.length / MAX_COLUMNS));
  const columns: Column[] = [];
  for (let first = 0; first < layers.length; first += each) {
    const group = layers.slice(first, first + each);
    const layer = group.reduce((a, b) => (b.time_s > a.time_s ? b : a));
    columns.push({
      label: group.length === 1 ? layer.name : `${layer.name} and ${group.length - 1} more`,
      time: group.reduce((sum, { time_s }) => sum + time_s, 0),
      bytes: group.reduce((sum, { communication_bytes }) => sum + communication_bytes, 0),
      layer,
    });
  }
  return columns;
}

interface Row {
  readonly label: string;
  readonly shares: readonly number[];
}

/** Devices of one kind that do the same everywhere are one row. */
function rowsOf({ devices, layers }: Plan): Row[] {
  const columns = columnsOf(layers);
  const shares = columns.map(({ layer }) => sharesByDevice(layer, devices));
  const rows = new Map<string, { name: string; kind: string; count: number; shares: number[] }>();
  for (const { name, accelerator } of devices) {
    const own = shares.map((share) => share.get(name) ?? 0);
    const key = `${accelerator}:${own.join()}`;
    const row = rows.get(key) ?? { name, kind: accelerator, count: 0, shares: own };
    row.count++;
    rows.set(key, row);
  }
  const all = [...rows.values()].map(({ name, kind, count, shares: own }) => ({
    label: count === 1 ? name : `${kind} × ${count}`,
    shares: own,
  }));
  if (all.length <= MAX_ROWS) return all;
  const more = { label: `… ${all.length - MAX_ROWS + 1} more`, shares: [] };
  return [...all.slice(0, MAX_ROWS - 1), more];
}

/** Large plans list runs of equal devices: `count` from the named one on. */
function sharesByDevice(layer: PlanLayer, devices: Plan["devices"]): Map<string, number> {
  const position = new Map(devices.map(({ name }, i) => [name, i]));
  const found = new Map<string, number>();
  for (const { device, share, count } of layer.shares) {
    const first = position.get(device) ?? 0;
    for (const { name } of devices.slice(first, first + (count ?? 1))) found.set(name, share);
  }
  return found;
}

function bars(
  label: string,
  values: readonly number[],
  top: number,
  width: number,
  format: (value: number) => string,
  columns: readonly Column[],
): string[] {
  const largest = Math.max(...values, 0);
  const drawn = values.map((value, i) => {
    const height = largest > 0 ? (value / largest) * BARS : 0;
    const tip = `<title>${escaped(`${columns[i]?.label}: ${format(value)}`)}</title>`;
    return `<rect class="bar" x="${fixed(LEFT + i * width)}" y="${fixed(top + BARS - height)}" width="${fixed(Math.max(0.5, width - 1))}" height="${fixed(height)}">${tip}</rect>`;
  });
  return [
    `<text class="end" x="${LEFT - 8}" y="${top + BARS / 2}">${label}</text>`,
    `<text class="end quiet" x="${LEFT - 8}" y="${top + 10}">${format(largest)}</text>`,
    `<path class="frame" d="M${LEFT} ${top + BARS}h${WIDTH}"/>`,
    ...drawn,
  ];
}

function rowOf(row: Row, top: number, width: number, columns: readonly Column[]): string[] {
  const largest = columns.map(({ layer }) => Math.max(...layer.shares.map(({ share }) => share), 0));
  const cells = row.shares.map((share, i) => {
    const { layer, label } = columns[i] as Column;
    const part = share / Math.max(largest[i] as number, 1e-12);
    const height = part * (ROW - 4);
    const types = layer.type.length > 0 ? layer.type.join(" ") : "whole";
    const tip = `<title>${escaped(`${label}: ${(100 * share).toPrecision(3)} %, ${types}`)}</title>`;
    return `<rect class="${layer.type[0] ?? "none"}" x="${fixed(LEFT + i * width)}" y="${fixed(top + ROW - 2 - height)}" width="${fixed(Math.max(0.5, width - 1))}" height="${fixed(height)}">${tip}</rect>`;
  });
  return [
    `<text class="end" x="${LEFT - 8}" y="${top + 14}">${escaped(shorten(row.label))}</text>`,
    ...cells,
  ];
}

function typeLegend(top: number): string[] {
  const entries = [
    ["I", "I, by batch"],
    ["II", "II, by input channel"],
    ["III", "III, by output channel"],
    ["none", "one device"],
  ];
  return entries.map(
    ([type, text], i) =>
      `<rect class="${type}" x="${LEFT + i * 160}" y="${top - 9}" width="10" height="10"/><text class="quiet" x="${LEFT + i * 160 + 15}" y="${top}">${text}</text>`,
  );
}

const NAMES: Readonly<Record<keyof Plan["baselines"], string>> = {
  data_parallel: "data parallel",
  data_parallel_proportional: "… balanced",
  owt: "one weird trick",
  hypar: "HyPar",
  accpar: "AccPar",
  one_device: "one device",
};

function comparison(plan: Plan, top: number): string[] {
  const entries = [
    ["this plan", plan.step_time_s] as const,
    ...(Object.keys(NAMES) as (keyof Plan["baselines"])[]).map(
      (name) => [NAMES[name], plan.baselines[name].step_time_s] as const,
    ),
  ];
  const longest = Math.max(...entries.map(([, time]) => time), 1e-300);
  return entries.flatMap(([name, time], i) => {
    const y = top + i * 18;
    const length = (time / longest) * (WIDTH - 90);
    return [
      `<text class="end" x="${LEFT - 8}" y="${y + 11}">${name}</text>`,
      `<rect class="${i === 0 ? "III" : "bar"}" x="${LEFT}" y="${y + 2}" width="${fixed(Math.max(1, length))}" height="11"/>`,
      `<text class="quiet" x="${fixed(LEFT + length + 6)}" y="${y + 11}">${seconds(time)}</text>`,
    ];
  });
}

function seconds(value: number): string {
  if (value >= 1 || value === 0) return `${significant(value)} s`;
  if (value >= 1e-3) return `${significant(value * 1e3)} ms`;
  return `${significant(value * 1e6)} µs`;
}

function amount(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${significant(bytes / 1000 ** power)} ${units[power]}`;
}

function significant(value: number): string {
  return Number(value.toPrecision(3)).toString();
}

function fixed(value: number): string {
  return Number(value.toFixed(2)).toString();
}

function shorten(text: string): string {
  return text.length > 20 ? `${text.slice(0, 19)}…` : text;
}

function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  // Control characters are not allowed in XML at all.
  return [...text]
    .map((char) => entities[char] ?? ((char.codePointAt(0) as number) < 32 ? " " : char))
    .join("");
}
