import { readFileSync } from "node:fs";

/**
 * The largest resident set of this process, KiB. From /proc where there is one: getrusage's figure starts at what the
 * parent had at the fork, so it says more about the parent.
 */
export function peakKiB() {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  } catch {
    return process.resourceUsage().maxRSS;
  }
}
