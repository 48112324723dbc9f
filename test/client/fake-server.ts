import { Hone } from "../../src/client/hone.ts";
import type { ClientOptions } from "../../src/client/transport.ts";

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
  readonly body: string;
}

/** One answer: a response, an error that fetch throws, or nothing until the request is aborted. */
export type Answer = Response | Error | "never" | ((seen: Seen) => Response);

/** A client whose fetch gives the answers in order, the last one again and again, and notes what was asked. */
export function client(answers: Answer[], options: Partial<ClientOptions> = {}) {
  const seen: Seen[] = [];
  const fetcher: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    const asked = {
      method: request.method,
      path: url.pathname + url.search,
      headers: request.headers,
      body: await request.text(),
    };
    seen.push(asked);
    const answer = answers[Math.min(seen.length, answers.length) - 1]!;
    if (answer instanceof Error) throw answer;
    if (answer === "never") {
      return new Promise((_, reject) => {
        const stop = () => reject(init?.signal?.reason);
        if (init?.signal?.aborted) stop();
        else init?.signal?.addEventListener("abort", stop);
      });
    }
    return typeof answer === "function" ? answer(asked) : answer.clone();
  };
  const hone = new Hone({ apiKey: "hone_sk_test", baseUrl: "http://hone.test/", fetch: fetcher, ...options });
  return { hone, seen };
}

export function json(body: unknown, init: ResponseInit = {}): Response {
  return Response.json(body, init);
}

export function problem(
  status: number,
  detail: string,
  extra: object = {},
  headers: HeadersInit = {},
): Response {
  return new Response(
    JSON.stringify({ type: "about:blank", title: "problem", status, detail, instance: "/x", ...extra }),
    { status, headers: { "content-type": "application/problem+json", ...headers } },
  );
}

/** At once, so that a retry costs a test no time. */
export const NOW = { "retry-after": "0" };
