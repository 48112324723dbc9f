const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Standard Webhooks: the delay before each attempt, counted from the one before it. About three days in all. */
const DELAYS = [
  0,
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];

const JITTER = 0.1;
const LONGEST_RETRY_AFTER = 24 * HOUR;

/**
 * When to try again.
 * @param attempts attempts made so far, the failed one included
 * @param retryAfter the receiver's Retry-After header
 * @param random in [0, 1), so that deliveries that failed together do not come back together
 * @returns milliseconds since 1970, or null when no attempt is left.
 */
export function nextAttempt(
  attempts: number,
  retryAfter: string | null,
  now: number,
  random: number,
): number | null {
  const delay = DELAYS[attempts];
  if (delay === undefined) return null;
  const asked = Math.min(parseRetryAfter(retryAfter, now), LONGEST_RETRY_AFTER);
  return Math.ceil(now + Math.max(delay * (1 + JITTER * random), asked));
}

/** Seconds, or an HTTP date. @returns milliseconds from now; 0 where nothing sensible is said. */
function parseRetryAfter(header: string | null, now: number): number {
  if (!header) return 0;
  const text = header.trim();
  const delay = /^\d+$/.test(text) ? Number(text) * SECOND : Date.parse(text) - now;
  return Number.isFinite(delay) ? Math.max(0, delay) : 0;
}
