import { apiError, ConnectionError, HoneError, ProtocolError, TimeoutError } from "./errors.ts";

export interface ClientOptions {
  /** `hk_…`; sent as a bearer token. */
  readonly apiKey: string;
  /** Address of the API, without `/v1`. */
  readonly baseUrl?: string;
  /** Stands in for the platform's fetch, in tests or behind a proxy. */
  readonly fetch?: typeof fetch;
  /** Milliseconds to wait for the head of an answer; 60,000 where nothing is said. */
  readonly timeout?: number;
  /** Further attempts after 408, 429, 5xx and broken connections; 3 where nothing is said. */
  readonly maxRetries?: number;
  /** Models of more bytes are sent in parts; 95 MB where nothing is said, below Cloudflare's 100 MB a request. */
  readonly maxBodyBytes?: number;
}

export interface RequestOptions {
  /** Aborts the request and its retries. */
  readonly signal?: AbortSignal;
  /** Makes a POST safe to repeat; the SDK makes one up where nothing is said. */
  readonly idempotencyKey?: string;
}

export interface HttpRequest extends RequestOptions {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly body?: BodyInit;
  /** Overrides the client's timeout, for uploads that take as long as they take. */
  readonly timeout?: number;
}

const RETRIED = new Set([408, 429, 500, 502, 503, 504]);
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 8_000;
const LONGEST_RETRY_AFTER_MS = 60_000;

/** Sends requests: authentication, timeout, retries with back-off, errors by status. */
export class Transport {
  readonly baseUrl: string;
  readonly maxBodyBytes: number;
  private readonly apiKey: string;
  private readonly send: typeof fetch;
  private readonly timeout: number;
  private readonly maxRetries: number;

  constructor(options: ClientOptions) {
    if (!options.apiKey) throw new HoneError("apiKey is missing: pass the key that `npm start` printed");
    this.apiKey = options.apiKey;
    this.baseUrl = (options.baseUrl ?? "http://127.0.0.1:8787").replace(/\/+$/, "");
    // Called without a receiver: browsers refuse `fetch` with any `this` but the global one.
    const send = options.fetch ?? globalThis.fetch;
    this.send = (input, init) => send(input, init);
    this.maxBodyBytes = options.maxBodyBytes ?? 95_000_000;
    this.timeout = options.timeout ?? 60_000;
    this.maxRetries = options.maxRetries ?? 3;
  }

  /** @throws a HoneError, or the signal's own reason when the caller aborts. */
  async request(request: HttpRequest): Promise<Response> {
    const url = this.url(request);
    const headers = this.headers(request);
    const body = request.json === undefined ? request.body : JSON.stringify(request.json);
    // A stream is consumed by its first attempt.
    const attempts = body instanceof ReadableStream ? 1 : this.maxRetries + 1;
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.attempt(url, request, headers, body);
      const last = attempt >= attempts;
      if (outcome instanceof HoneError) {
        if (last) throw outcome;
        await pause(backoff(attempt), request.signal);
        continue;
      }
      if (outcome.ok || outcome.status === 304) return outcome;
      if (last || !RETRIED.has(outcome.status)) throw await apiError(outcome);
      void outcome.body?.cancel().catch(() => {});
      await pause(retryAfter(outcome) ?? backoff(attempt), request.signal);
    }
  }

  /** The JSON of a successful answer. */
  async json<T>(request: HttpRequest): Promise<T> {
    const response = await this.request(request);
    const text = await response.text();
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new ProtocolError(
        `${request.method} ${request.path} answered something that is no JSON: is ${this.baseUrl} a Hone server?`,
      );
    }
  }

  private url({ path, query }: HttpRequest): string {
    const url = new URL(this.baseUrl + path);
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    return url.href;
  }

  private headers(request: HttpRequest): Headers {
    const headers = new Headers({ accept: "application/json", ...request.headers });
    headers.set("authorization", `Bearer ${this.apiKey}`);
    if (request.json !== undefined) headers.set("content-type", "application/json");
    if (request.method === "POST") {
      headers.set("idempotency-key", request.idempotencyKey ?? crypto.randomUUID());
    }
    return headers;
  }

  /** One attempt: an answer of any status, or the reason why there was none. */
  private async attempt(
    url: string,
    request: HttpRequest,
    headers: Headers,
    body: BodyInit | undefined,
  ): Promise<Response | HoneError> {
    request.signal?.throwIfAborted();
    const limit = request.timeout ?? this.timeout;
    const abort = new AbortController();
    const cancel = () => abort.abort(request.signal?.reason);
    request.signal?.addEventListener("abort", cancel);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      abort.abort();
    }, limit);
    const init: RequestInit & { duplex?: "half" } = {
      method: request.method,
      headers,
      body,
      signal: abort.signal,
    };
    // Platforms want this said before they stream a body.
    if (body instanceof ReadableStream) init.duplex = "half";
    try {
      return await this.send(url, init);
    } catch (cause) {
      request.signal?.throwIfAborted();
      if (late) return new TimeoutError(`${request.method} ${request.path}: no answer in ${limit} ms`);
      return new ConnectionError(`cannot reach ${this.baseUrl}: ${reasonOf(cause)}`, { cause });
    } finally {
      clearTimeout(timer);
      request.signal?.removeEventListener("abort", cancel);
    }
  }
}

/** Resolves after `ms`; rejects at once when the signal aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

function backoff(attempt: number): number {
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempt - 1));
  // Jitter, so that clients that failed together do not come back together.
  return ceiling / 2 + (ceiling / 2) * (crypto.getRandomValues(new Uint8Array(1))[0]! / 255);
}

function retryAfter(response: Response): number | null {
  const header = response.headers.get("retry-after");
  if (!header) return null;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), LONGEST_RETRY_AFTER_MS) : null;
}

/** fetch says "fetch failed" and hides the reason in `cause`. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? reasonOf(cause) : (codeOf(error) ?? error.message);
}

function codeOf(error: Error): string | null {
  const code = "code" in error ? error.code : null;
  return !error.message && typeof code === "string" ? code : null;
}
