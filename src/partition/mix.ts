import { ACCELERATORS } from "../../schemas/accelerators.ts";
import { Accelerator, type Link, Mix, type Topology, type Uplink } from "../../schemas/mix.ts";
import { MixError } from "./errors.ts";

/** Devices of one kind, with everything said that the cost model needs. */
export interface DeviceGroup {
  readonly accelerator: Accelerator;
  readonly count: number;
  /** A part of a ring's devices is a line. */
  readonly link: Required<Omit<Link, "topology">> & { readonly topology: Topology | "line" };
  /** To the other groups; null where the devices' own links lead there. */
  readonly uplink: Required<Uplink> | null;
  /** Figures of the link that nobody declared. */
  readonly assumed: { readonly bandwidth: boolean; readonly latency: boolean };
}

export const MAX_DEVICES = 4096;
const MAX_ENTRIES = 16;

/** 10 Gb/s Ethernet, where neither the mix nor the accelerator declares a link. */
const DEFAULT_BANDWIDTH = 1.25e9;
/** Seconds a message, where a link declares none. */
const DEFAULT_LATENCY = 5e-6;

/**
 * Reads the command line's form, `tpu-v3:2,tpu-v2:2`; a name without a count is one device.
 * @throws MixError
 */
export function parseMix(text: string): Mix {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.every((part) => part === "")) {
    throw new MixError("empty", "the mix is empty; name at least one accelerator, such as tpu-v3:2");
  }
  return checkMix(
    parts.map((part, index) => {
      const match = /^([A-Za-z0-9][A-Za-z0-9._-]*)(?::(.*))?$/.exec(part);
      if (!match) {
        throw new MixError(
          "bad_syntax",
          `"${part}" is no mix entry; write name:count, as in tpu-v3:2,tpu-v2:2`,
          `/${index}`,
        );
      }
      const count = match[2] ?? "1";
      if (!/^\d{1,15}$/.test(count)) {
        throw new MixError(
          "bad_count",
          `"${count}" is no number of devices; write a whole number from 1 to ${MAX_DEVICES}`,
          `/${index}/count`,
        );
      }
      return { accelerator: match[1] as string, count: Number(count) };
    }),
  );
}

/**
 * Checks anything that claims to be a mix, resolving its names.
 * @throws MixError with a pointer to the first field that is wrong
 */
export function checkMix(value: unknown): Mix {
  if (!Array.isArray(value) || value.length === 0) {
    throw new MixError("empty", "the mix is empty; declare at least one accelerator");
  }
  if (value.length > MAX_ENTRIES) {
    throw new MixError("too_many_entries", `the mix has ${value.length} entries; at most ${MAX_ENTRIES}`);
  }
  let devices = 0;
  for (const [index, entry] of value.entries()) {
    const count = (entry as { count?: unknown } | null)?.count;
    if (typeof count !== "number" || !Number.isInteger(count) || count < 1) {
      throw new MixError(
        "bad_count",
        `entry ${index} of the mix needs a count that is a whole number of 1 or more`,
        `/${index}/count`,
      );
    }
    devices += count;
  }
  if (devices > MAX_DEVICES) {
    throw new MixError("too_many_devices", `the mix has ${devices} devices; at most ${MAX_DEVICES}`);
  }
  const parsed = Mix.safeParse(value);
  if (!parsed.success) {
    const issue = deepest(parsed.error.issues[0] as ZodIssue);
    throw new MixError(
      "bad_figure",
      `mix ${issue.path.join(".") || "entry"}: ${issue.message}`,
      `/${issue.path.join("/")}`,
    );
  }
  for (const [index, entry] of parsed.data.entries()) {
    if (typeof entry.accelerator === "string") findAccelerator(entry.accelerator, `/${index}/accelerator`);
  }
  return parsed.data;
}

interface ZodIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly errors?: readonly (readonly ZodIssue[])[];
  /** Of fields that nobody knows. */
  readonly keys?: readonly string[];
}

/** The issue inside a union that says most: the one of the branch that went furthest. */
function deepest(issue: ZodIssue): { path: readonly PropertyKey[]; message: string } {
  const inner = (issue.errors ?? []).flatMap((branch) => branch.slice(0, 1)).map(deepest);
  if (issue.keys?.[0] !== undefined) {
    return { path: [...issue.path, issue.keys[0]], message: "there is no such field" };
  }
  const best = inner.reduce<ZodIssue | null>(
    (found, next) => (found === null || next.path.length > found.path.length ? next : found),
    null,
  );
  return best && best.path.length > 0
    ? { path: [...issue.path, ...best.path], message: best.message }
    : { path: issue.path, message: issue.message };
}

/**
 * The figures behind a catalogue name; upper and lower case are the same.
 * @throws MixError unknown_accelerator, with the nearest names
 */
export function findAccelerator(name: string, pointer = ""): Accelerator {
  const wanted = name.toLowerCase();
  const found = ACCELERATORS.find((entry) => entry.name === wanted);
  if (!found) {
    const suggestions = nearest(
      wanted,
      ACCELERATORS.map((entry) => entry.name),
    );
    throw new MixError(
      "unknown_accelerator",
      `no accelerator is called "${name}"; did you mean ${suggestions.join(", ")}? GET /v1/accelerators lists them all, and a mix may declare its own figures`,
      pointer,
      suggestions,
    );
  }
  const { title: _title, sources: _sources, ...figures } = found;
  return figures;
}

/** Resolves every entry to figures and a link, with the documented defaults. @throws MixError */
export function resolveMix(mix: Mix): DeviceGroup[] {
  return checkMix(mix).map((entry) => {
    const accelerator =
      typeof entry.accelerator === "string"
        ? findAccelerator(entry.accelerator)
        : Accelerator.parse(entry.accelerator);
    const link = entry.link ?? accelerator.link;
    return {
      accelerator,
      count: entry.count,
      link: {
        bandwidth: link?.bandwidth ?? DEFAULT_BANDWIDTH,
        latency: link?.latency ?? DEFAULT_LATENCY,
        topology: link?.topology ?? "switch",
        joules_per_byte: link?.joules_per_byte ?? 0,
      },
      uplink: entry.uplink
        ? {
            bandwidth: entry.uplink.bandwidth,
            latency: entry.uplink.latency ?? DEFAULT_LATENCY,
            joules_per_byte: entry.uplink.joules_per_byte ?? 0,
          }
        : null,
      assumed: { bandwidth: link === undefined, latency: link?.latency === undefined },
    };
  });
}

/** The three nearest names: those that contain it or are contained in it first, then by edit distance. */
function nearest(wanted: string, names: readonly string[]): string[] {
  const bounded = wanted.slice(0, 64);
  const scored = names.map((name) => ({
    name,
    score: editDistance(bounded, name) - (name.includes(bounded) || bounded.includes(name) ? 8 : 0),
  }));
  return scored
    .sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1))
    .slice(0, 3)
    .map(({ name }) => name);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
