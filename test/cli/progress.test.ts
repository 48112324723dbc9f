import { expect, test } from "vitest";
import { progressOn } from "../../src/cli/progress.ts";

/** What is written to a terminal, or to a log, at the times that a test sets. */
function screen(isTTY: boolean) {
  const written: string[] = [];
  const clock = { ms: 0 };
  const stream = { isTTY, columns: 100, write: (text: string) => written.push(text) > 0 };
  const progress = progressOn(stream as unknown as NodeJS.WriteStream, () => clock.ms);
  const last = () => written.at(-1)!.split("% ").at(-1);
  return { progress, clock, written, last };
}

const MB = 1e6;

test("a terminal shows rate and time left as soon as they are known", () => {
  const { progress, clock, last } = screen(true);
  progress.update("treat 0 of 97", 0.22, { done: 0, total: 4080 * MB });
  expect(last()).toBe("treat 0 of 97");
  clock.ms = 10_000;
  progress.update("treat 12 of 97", 0.25, { done: 340 * MB, total: 4080 * MB });
  expect(last()).toBe("treat 12 of 97 · 34.0 MB/s · 2 min left");
  clock.ms = 120_000;
  progress.update("treat 97 of 97", 0.42, { done: 4080 * MB, total: 4080 * MB });
  expect(last()).toBe("treat 97 of 97 · 34.0 MB/s");
  progress.update("try 1 of 97", 0.42);
  expect(last()).toBe("try 1 of 97");
});

test("a log tells of a step once, and of a long one every half minute", () => {
  const { progress, clock, written } = screen(false);
  for (let second = 0; second <= 70; second++) {
    clock.ms = 1000 * second;
    progress.update(`treat ${second} of 100`, second / 100, { done: second * MB, total: 100 * MB });
  }
  expect(written).toEqual([
    "  0% treat 0 of 100\n",
    " 30% treat 30 of 100 · 1.00 MB/s · 2 min left\n",
    " 60% treat 60 of 100 · 1.00 MB/s · 40 s left\n",
  ]);
});
