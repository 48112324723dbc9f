import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Measurement,
  searchStrength,
  TargetUnreachableError,
} from "../../src/compress/allocate/search.ts";

describe("searchStrength", () => {
  /** Bytes fall from 1000 to 200 with strength, R² from 1 to 0.6. */
  const measured: number[] = [];
  const measure = async (strength: number): Promise<Measurement> => {
    measured.push(strength);
    return {
      bytes: 1000 - 800 * strength,
      macs: 500 - 100 * strength,
      latencyRatio: 1,
      minR2: 1 - 0.4 * strength ** 2,
      top1: 1 - 0.1 * strength,
    };
  };

  test("the guard alone: the greatest strength that keeps it, to 1/128, by following the losses", async () => {
    measured.length = 0;
    const { strength, measurement } = await searchStrength({ measure, limits: { minR2: 0.99 } });
    expect(measurement.minR2!).toBeGreaterThanOrEqual(0.99);
    expect(Math.abs(strength - Math.sqrt(0.01 / 0.4))).toBeLessThan(1 / 128);
    expect(measured.length).toBeLessThan(8);
  });

  test("any loss that grows with strength: within 1/64 or 5% of the allowed loss, in at most eight measurements", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 2, max: 60, noNaN: true }),
        fc.double({ min: 0.02, max: 0.98, noNaN: true }),
        fc.boolean(),
        async (octaves, meets, givesUp) => {
          let count = 0;
          const lossAt = (strength: number) => 0.01 * 2 ** (octaves * (strength - meets));
          const { strength, measurement } = await searchStrength({
            measure: async (at) => {
              count++;
              const minR2 = givesUp && lossAt(at) > 0.01 ? null : 1 - lossAt(at);
              return { bytes: 1000 - 800 * at, macs: 1, latencyRatio: 1, minR2, top1: null };
            },
            limits: { minR2: 0.99 },
          });
          expect(measurement.minR2!).toBeGreaterThanOrEqual(0.99);
          expect(meets - strength < 1 / 64 || lossAt(strength) >= 0.0095).toBe(true);
          expect(count).toBeLessThanOrEqual(8);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("answers that turn over one by one, at whatever strength: within 1/32 of the strength at which too many have", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: 0.05, max: 0.95, noNaN: true }), { minLength: 3 }),
        async (turns) => {
          const sorted = turns.toSorted((a, b) => a - b);
          const { strength } = await searchStrength({
            measure: async (at) => {
              const turned = turns.filter((one) => one <= at).length;
              const minR2 = 1 - 1e-5 * 2 ** (10 * at);
              return { bytes: 1000 - 800 * at, macs: 1, latencyRatio: 1, minR2, top1: 1 - 0.007 * turned };
            },
            limits: { minR2: 0.9, minTop1: 0.99 },
          });
          expect(strength).toBeLessThan(sorted[1]!);
          expect(sorted[1]! - strength).toBeLessThan(1 / 32);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("top-1 agreement is guarded too", async () => {
    const { measurement } = await searchStrength({ measure, limits: { minR2: 0.5, minTop1: 0.99 } });
    expect(measurement.top1!).toBeGreaterThanOrEqual(0.99);
  });

  test("a size: the least strength that keeps it, measured in size only", async () => {
    const wants: string[] = [];
    const { strength } = await searchStrength({
      measure: async (s, wanted) => {
        wants.push(...wanted);
        return measure(s);
      },
      limits: { maxBytes: 600 },
    });
    expect(strength).toBeGreaterThanOrEqual(0.5);
    expect(strength).toBeLessThan(0.5 + 1 / 256);
    expect(new Set(wants)).toEqual(new Set(["size"]));
  });

  test("a target that strength 0 already keeps costs one measurement", async () => {
    measured.length = 0;
    expect((await searchStrength({ measure, limits: { maxBytes: 1000 } })).strength).toBe(0);
    expect(measured).toEqual([0]);
  });

  test("strength 1 is found when everything holds there", async () => {
    expect((await searchStrength({ measure, limits: { minR2: 0.5 } })).strength).toBe(1);
  });

  test("unreachable: too small, too few MACs, or too much fidelity at that size; with the best that was reached", async () => {
    const cases = [
      [{ maxBytes: 199 }, 1, /200 bytes at best/],
      [{ maxMacs: 100 }, 1, /400 MACs at best/],
      [{ maxLatencyRatio: 0.5 }, 1, /latency ratio 1.000 at best/],
      [{ maxBytes: 300, minR2: 0.99 }, 0.875, /R² 0.69\d\d at this size/],
    ] as const;
    for (const [limits, strength, message] of cases) {
      const error = await searchStrength({ measure, limits }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(TargetUnreachableError);
      const { best, missed } = error as TargetUnreachableError;
      expect(missed).toMatch(message);
      expect(Math.abs(best.strength - strength)).toBeLessThan(1 / 128);
      expect(best.measurement.bytes).toBeLessThan(1000);
    }
  });

  test("of all artifacts that keep the guard the one of least cost, whatever its strength", async () => {
    const seen: Measurement[] = [];
    const bumpy = async (strength: number): Promise<Measurement> => {
      const found = {
        ...(await measure(strength)),
        bytes: 1000 - 800 * strength + 90 * Math.sin(40 * strength),
      };
      seen.push(found);
      return found;
    };
    const { measurement } = await searchStrength({ measure: bumpy, limits: { minR2: 0.95 } });
    const fitting = seen.filter(({ minR2 }) => minR2! >= 0.95);
    expect(measurement.bytes).toBe(Math.min(...fitting.map(({ bytes }) => bytes)));
  });

  test("a guard that even strength 0 misses is an error, not a silent failure", async () => {
    const broken = async (): Promise<Measurement> => ({
      bytes: 1,
      macs: 1,
      latencyRatio: 1,
      minR2: 0.5,
      top1: null,
    });
    await expect(searchStrength({ measure: broken, limits: { minR2: 0.99 } })).rejects.toThrow(
      TargetUnreachableError,
    );
  });
});
