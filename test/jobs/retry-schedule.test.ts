import { describe, expect, test } from "vitest";
import { nextAttempt } from "../../src/jobs/retry-schedule.ts";

const NOW = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;

describe("the retry schedule", () => {
  test("is that of Standard Webhooks, counted from attempt to attempt, and ends after ten attempts", () => {
    const seconds = Array.from({ length: 10 }, (_, i) => {
      const next = nextAttempt(i + 1, null, NOW, 0);
      return next === null ? null : (next - NOW) / 1000;
    });
    expect(seconds).toEqual([5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, null]);
  });

  test("jitter adds at most a tenth", () => {
    expect(nextAttempt(2, null, NOW, 0.999)! - NOW).toBeLessThanOrEqual(330_000);
    expect(nextAttempt(2, null, NOW, 0.999)! - NOW).toBeGreaterThan(329_000);
  });

  test.each([
    ["seconds", "120", 120_000],
    ["a date", new Date(NOW + 90_000).toUTCString(), 90_000],
    ["less than the schedule", "1", 5000],
    ["a date that has passed", new Date(NOW - 90_000).toUTCString(), 5000],
    ["nonsense", "soon", 5000],
    ["more than a day", "1000000", 24 * HOUR],
  ])("Retry-After: %s", (_, header, delay) => {
    expect(nextAttempt(1, header, NOW, 0)).toBe(NOW + delay);
  });
});
