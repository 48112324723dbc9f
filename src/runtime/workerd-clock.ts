/**
 * A clock for durations in workerd. Against timing attacks, `Date.now()` and `performance.now()` stand still there
 * while code runs and move on only with I/O, so the clock is read after the smallest I/O there is: a timer of 0 ms
 * (about 1 ms by itself, the same before and after what is measured).
 * @returns milliseconds since an arbitrary start.
 */
export async function workerdNow(): Promise<number> {
  await scheduler.wait(0);
  return performance.now();
}
