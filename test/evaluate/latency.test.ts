import { describe, expect, test } from "vitest";
import { measureLatency, median } from "../../src/evaluate/latency.ts";

/** A clock that runs move on by what they cost, and each look at it by `look`. */
function clock(look = 0) {
  const state = { time: 1000, order: "" };
  return {
    state,
    now: async () => {
      state.time += look;
      return state.time;
    },
    run: (name: string, cost: () => number) => async () => {
      state.time += cost();
      state.order += name;
    },
  };
}

describe("latency", () => {
  test("is what a run costs, without what looking at the clock costs", async () => {
    const { now, run } = clock(3);
    const latency = await measureLatency(
      run("a", () => 50),
      run("b", () => 20),
      { now },
    );
    expect(latency).toEqual({ original: 50, compressed: 20, runs: 15 });
  });

  test("repeats short runs until a block is long enough to time", async () => {
    const { now, run, state } = clock();
    const latency = await measureLatency(
      run("a", () => 1),
      run("b", () => 0.5),
      { now, runs: 3 },
    );
    expect(latency).toEqual({ original: 1, compressed: 0.5, runs: 3 });
    expect(state.order).toBe(
      `abab${"a".repeat(20)}${"b".repeat(40)}${"a".repeat(20)}${"a".repeat(20)}${"b".repeat(20)}`,
    );
  });

  test("takes the median, so that a few slow runs do not count", async () => {
    const { now, run } = clock();
    let calls = 0;
    const latency = await measureLatency(
      run("a", () => (++calls % 5 === 0 ? 900 : 30)),
      run("b", () => 30),
      { now },
    );
    expect(latency).toMatchObject({ original: 30, compressed: 30 });
  });

  test("weighs a machine that slows down on both alike, to 5%", async () => {
    const { now, run, state } = clock();
    const drifting = () => 30 * (1 + (state.time - 1000) / 1000);
    const { original, compressed } = await measureLatency(run("a", drifting), run("b", drifting), {
      now,
      runs: 9,
    });
    expect(Math.abs(compressed / original - 1)).toBeLessThan(0.05);
  });

  test("stops at the budget, with at least one run a side", async () => {
    const short = clock();
    const some = await measureLatency(
      short.run("a", () => 1000),
      short.run("b", () => 1000),
      { now: short.now },
    );
    expect(some.runs).toBe(3);
    const long = clock();
    const one = await measureLatency(
      long.run("a", () => 60_000),
      long.run("b", () => 30_000),
      { now: long.now },
    );
    expect(one).toEqual({ original: 60_000, compressed: 30_000, runs: 1 });
  });

  test("median of an odd and an even number", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([7])).toBe(7);
  });
});
