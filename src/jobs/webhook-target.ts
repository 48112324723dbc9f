/**
 * Whether a webhook may be sent to an address. A Worker has no private network behind it, but a server run by hand
 * has, so every literal address that is not public is refused. The URL parser has already turned decimal, octal,
 * hexadecimal and shortened IPv4 forms into the dotted one. Names are taken as they are: what they resolve to is
 * decided by the platform's own resolver at the time of the request, and redirects are never followed.
 */
export interface TargetPolicy {
  /** Local development: this machine is a valid target, over http too. */
  readonly allowLoopback: boolean;
}

const MAX_URL = 2048;

/** @returns why the address is refused, or null when a webhook may go there. */
export function refusedTarget(text: string, policy: TargetPolicy): string | null {
  if (text.length > MAX_URL) return `the address is longer than ${MAX_URL} characters`;
  const url = URL.parse(text);
  if (!url) return "the address is not a URL";
  if (url.protocol !== "https:" && url.protocol !== "http:") return "the address must begin with https://";
  if (url.username || url.password) return "the address must not contain a user name or password";
  const host = url.hostname.replace(/\.$/, "").toLowerCase();
  const kind = hostKind(host);
  if (kind === "loopback" && policy.allowLoopback) return null;
  if (kind !== "public") return `webhooks are not sent to ${kind} addresses (${host})`;
  if (url.protocol !== "https:") return "the address must begin with https://";
  return null;
}

type HostKind = "public" | "loopback" | "private" | "link-local" | "reserved" | "local-name";

const LOCAL_SUFFIXES = [".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa", ".onion"];

function hostKind(host: string): HostKind {
  if (host.startsWith("[")) return ipv6Kind(parseIpv6(host.slice(1, -1)));
  const ipv4 = parseIpv4(host);
  if (ipv4) return ipv4Kind(ipv4);
  if (host === "localhost" || host.endsWith(".localhost")) return "loopback";
  if (!host.includes(".") || LOCAL_SUFFIXES.some((suffix) => host.endsWith(suffix))) return "local-name";
  return "public";
}

function parseIpv4(host: string): number[] | null {
  const parts = host.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part))) return null;
  return parts.map(Number);
}

/** RFC 6890 and the ranges registered since. */
function ipv4Kind(parts: readonly number[]): HostKind {
  const [a = 0, b = 0, c = 0] = parts;
  if (a === 127) return "loopback";
  if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168)) return "private";
  if (a === 169 && b === 254) return "link-local";
  if (a === 100 && b >= 64 && b < 128) return "private";
  const reserved =
    a === 0 ||
    a >= 224 ||
    (a === 192 && b === 0 && (c === 0 || c === 2)) ||
    (a === 192 && b === 88 && c === 99) ||
    (a === 198 && (b === 18 || b === 19)) ||
    (a === 198 && b === 51 && c === 100) ||
    (a === 203 && b === 0 && c === 113);
  return reserved ? "reserved" : "public";
}

/** Eight groups. The URL parser has checked the form and written an embedded IPv4 address as two groups. */
function parseIpv6(text: string): number[] {
  const [head = "", tail] = text.split("::");
  const groups = (part: string) => (part ? part.split(":").map((group) => Number.parseInt(group, 16)) : []);
  const front = groups(head);
  const back = groups(tail ?? "");
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
}

function ipv6Kind(groups: readonly number[]): HostKind {
  const [g0 = 0, g1 = 0, g2 = 0] = groups;
  const leadingZeros = groups.findIndex((group) => group !== 0);
  const embedded = (at: number) => {
    const [high = 0, low = 0] = groups.slice(at, at + 2);
    return ipv4Kind([high >> 8, high & 255, low >> 8, low & 255]);
  };
  if (leadingZeros === -1) return "reserved";
  if (leadingZeros === 7 && groups[7] === 1) return "loopback";
  // IPv4-mapped, IPv4-compatible, NAT64 and 6to4 addresses are as good as the IPv4 address inside them.
  if (leadingZeros >= 5 && (groups[5] === 0xffff || groups[5] === 0)) return embedded(6);
  if (g0 === 0x64 && g1 === 0xff9b) return g2 === 0 ? embedded(6) : "private";
  if (g0 === 0x2002) return embedded(1);
  if ((g0 & 0xffc0) === 0xfe80) return "link-local";
  if ((g0 & 0xfe00) === 0xfc00 || (g0 & 0xffc0) === 0xfec0) return "private";
  // Only 2000::/3 is global; inside it, Teredo and documentation are not.
  const global = (g0 & 0xe000) === 0x2000 && !(g0 === 0x2001 && (g1 === 0 || g1 === 0xdb8));
  return global ? "public" : "reserved";
}
