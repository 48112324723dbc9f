import type { Mix } from "../../schemas/mix.ts";
import type { PartitionType, Plan } from "../../schemas/plan.ts";
import { busyOf, type Candidate, energyOf, priceOf, type Question } from "./candidate.ts";
import { type Costs, costsOf } from "./cost.ts";
import { boundOf, factsOf, scale, slowestDevice } from "./facts.ts";
import { totalCost } from "./greedy.ts";
import { TYPE_NAMES } from "./layout.ts";
import { exploits, precisionUsed } from "./peak.ts";
import type { Baselines } from "./plan.ts";
import { passesOf } from "./shares.ts";
import type { DeviceClass } from "./tree.ts";

/** Shares that a plan lists device by device; beyond that, runs of equal devices. */
const LISTED_SHARES = 200_000;

/** A candidate as the plan that callers see. */
export function describePlan(question: Question, chosen: Candidate, baselines: Baselines, mix: Mix): Plan {
  const { network, mode, objective, costModel, serving } = question;
  const devices = devicesOf(question, chosen);
  const bytes = measured(question, chosen, "bytes");
  const accpar = costModel === "accpar";
  const elements = accpar ? totalCost(measured(question, chosen, "elements"), chosen.codes) : undefined;
  return {
    mode,
    batch: network.batch,
    objective,
    cost_model: costModel,
    mix,
    serving,
    step_time_s: chosen.stepTime,
    samples_per_s: rate(question, chosen),
    energy_j: energyOf(chosen),
    price_usd: priceOf(chosen),
    communication_bytes: totalCost(bytes, chosen.codes),
    ...(elements === undefined ? {} : { communication_elements: elements }),
    devices: devices.map(({ name, accelerator, memory, limit, busy }) => ({
      name,
      accelerator,
      memory_bytes: memory,
      memory_limit_bytes: limit,
      busy_s: busy,
    })),
    layers: layersOf(question, chosen, devices, bytes),
    fits: chosen.fits,
    baselines: Object.fromEntries(
      Object.entries(baselines).map(([name, candidate]) => [name, baselineOf(question, candidate)]),
    ) as Plan["baselines"],
    estimated: true,
    notes: notesOf(question, chosen),
  };
}

function baselineOf(question: Question, candidate: Candidate): Plan["baselines"]["owt"] {
  const elements =
    question.costModel === "accpar"
      ? { communication_elements: totalCost(measured(question, candidate, "elements"), candidate.codes) }
      : {};
  return {
    step_time_s: candidate.stepTime,
    samples_per_s: rate(question, candidate),
    energy_j: energyOf(candidate),
    price_usd: priceOf(candidate),
    communication_bytes: totalCost(measured(question, candidate, "bytes"), candidate.codes),
    ...elements,
    fits: candidate.fits,
  };
}

/** Samples a second. */
function rate({ network }: Question, { period }: Candidate): number {
  return period > 0 ? network.batch / period : 0;
}

function measured(question: Question, { arena }: Candidate, measure: "bytes" | "elements"): Costs {
  return costsOf(question.network, arena.time.hierarchy, {
    mode: question.mode,
    shares: arena.shares,
    measure,
    countsInputError: question.costModel === "accpar",
  });
}

interface Device {
  readonly name: string;
  readonly accelerator: string;
  readonly limit: number;
  readonly memory: number;
  readonly busy: number;
  /** Class of the hierarchy; null where the device takes no part. */
  readonly deviceClass: number | null;
}

/** Every device of the mix in its order, each with its class in the chosen hierarchy. */
function devicesOf(question: Question, { arena, codes, memory }: Candidate): Device[] {
  const { hierarchy } = arena.time;
  const classes = hierarchy.levels[hierarchy.depth] as readonly DeviceClass[];
  const busy = busyOf(question, arena.time, codes);
  const waiting = classes.map((device) => ({
    origin: arena.origin[device.devices[0]?.group ?? 0],
    left: device.multiplicity,
  }));
  const named = new Map<string, number>();
  return question.groups.flatMap(({ accelerator, count }, g) =>
    Array.from({ length: count }, (): Device => {
      const index = named.get(accelerator.name) ?? 0;
      named.set(accelerator.name, index + 1);
      const c = waiting.findIndex(({ origin, left }) => origin === g && left > 0);
      const found = waiting[c];
      if (found) found.left--;
      return {
        name: `${accelerator.name}/${index}`,
        accelerator: accelerator.name,
        limit: accelerator.memory_bytes,
        memory: found ? (memory[c] as number) : 0,
        busy: found ? (busy[c] as number) : 0,
        deviceClass: found ? c : null,
      };
    }),
  );
}

function layersOf(
  question: Question,
  { arena, codes }: Candidate,
  devices: readonly Device[],
  bytes: Costs,
): Plan["layers"] {
  const { nodes, edges } = question.network;
  const { depth, hierarchy } = arena.time;
  const time = nodes.map((_, v) => arena.time.unary(v, codes[v] as number));
  const moved = nodes.map((_, v) => bytes.unary(v, codes[v] as number));
  for (const [e, { from, to }] of edges.entries()) {
    const [s, t] = [codes[from] as number, codes[to] as number];
    time[to] = (time[to] as number) + arena.time.edge(e, s, t);
    moved[to] = (moved[to] as number) + bytes.edge(e, s, t);
  }
  const grouped = nodes.length * devices.length > LISTED_SHARES;
  const whole = new Float64Array(3);
  return nodes.map((node, v) => {
    const facts = factsOf(node, hierarchy, question.mode);
    const parts = arena.time.parts(v, codes[v] as number);
    const work = slowestDevice(facts, parts, whole);
    const share = ({ deviceClass }: Device) =>
      deviceClass === null ? 0 : scale(facts.splits.work, parts, deviceClass * 3);
    return {
      name: node.name,
      op: node.op,
      type: typesOf(codes[v] as number, depth),
      shares: grouped ? runs(devices, share) : devices.map((d) => ({ device: d.name, share: share(d) })),
      flops: facts.flops,
      flops_by_pass: passesOf(node, question.mode),
      precision: node.precision,
      bound: 2 * work >= (time[v] as number) ? boundOf(facts, parts) : "link",
      communication_bytes: moved[v] as number,
      time_s: time[v] as number,
    };
  });
}

function runs(
  devices: readonly Device[],
  share: (device: Device) => number,
): Plan["layers"][number]["shares"] {
  const found: { device: string; count: number; share: number; kind: string }[] = [];
  for (const device of devices) {
    const last = found[found.length - 1];
    const own = share(device);
    if (last && last.kind === device.accelerator && last.share === own) last.count++;
    else found.push({ device: device.name, count: 1, share: own, kind: device.accelerator });
  }
  return found.map(({ kind: _kind, ...run }) => run);
}

/** Types by level, outermost first. */
export function typesOf(code: number, depth: number): PartitionType[] {
  return Array.from({ length: depth }, (_, h) => {
    const digit = (Math.floor(code / 3 ** (depth - 1 - h)) % 3) as 0 | 1 | 2;
    return TYPE_NAMES[digit];
  });
}

function notesOf(question: Question, chosen: Candidate): string[] {
  const { groups, network, mode } = question;
  const notes = [...network.notes];
  const precisions = new Set(network.nodes.map(({ precision }) => precision));
  for (const precision of precisions) {
    for (const { accelerator } of groups) {
      const used = precisionUsed(accelerator, precision);
      if (used !== precision) {
        notes.push(`${accelerator.name} computes ${precision} layers at its ${used} rate.`);
      }
    }
  }
  notes.push(...sparseNotes(question));
  const connected = groups.length > 1 || (groups[0]?.count ?? 0) > 1;
  if (connected && groups.some(({ assumed }) => assumed.bandwidth)) {
    notes.push("Where no link is declared, 10 Gb/s is assumed.");
  }
  if (connected && groups.some(({ assumed }) => assumed.latency))
    notes.push("Where a link declares no latency, 5 µs a message is assumed.");
  notes.push(
    question.serving === "throughput"
      ? "Times are peak figures by roofline; a device computes one batch while it sends and receives another."
      : "Times are peak figures by roofline; compute and communication do not overlap.",
    "Shares are exact; the time and memory of a device count them rounded up to whole samples and channels.",
  );
  if (mode === "training") notes.push("Training keeps gradients and Adam's two moments for every weight.");
  const used = chosen.arena.groups.reduce((sum, { count }) => sum + count, 0);
  const declared = groups.reduce((sum, { count }) => sum + count, 0);
  if (used < declared) {
    notes.push(`${used} of ${declared} devices take part: with more of them the objective gets worse.`);
  }
  if (chosen.overflow > 0) {
    notes.push(
      `No plan was found that fits: the fullest device needs ${chosen.overflow.toFixed(2)} times its memory.`,
    );
  }
  return notes;
}

/** Layers that a note names before it counts the rest. */
const NAMED_LAYERS = 5;

/** Which layers count at the doubled rate, by accelerator. */
function sparseNotes({ groups, network }: Question): string[] {
  const names = new Set(groups.map(({ accelerator }) => accelerator.name));
  return [...names].flatMap((name) => {
    const alike = groups.filter(({ accelerator }) => accelerator.name === name);
    const faster = network.nodes.filter((node) => alike.some((group) => exploits(group.accelerator, node)));
    if (faster.length === 0) return [];
    const named = faster.slice(0, NAMED_LAYERS).map((node) => node.name);
    const rest = faster.length - named.length;
    const layers = `${named.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
    return [`${name} multiplies the 2:4 sparse weights of ${layers} at twice its dense rate.`];
  });
}
