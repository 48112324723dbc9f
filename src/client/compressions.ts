import type { Plan, PlanFormat } from "../../schemas/plan.ts";
import type { Report } from "../../schemas/report.ts";
import type { CompressionRequest, CompressionResource } from "../../schemas/resources.ts";
import { ApiError, ConnectionError, TimeoutError } from "./errors.ts";
import { segment } from "./models.ts";
import { List, type ListOptions } from "./pages.ts";
import { pause, type RequestOptions, type Transport } from "./transport.ts";

export interface WaitOptions {
  /** Called with every state that is new. */
  readonly onProgress?: (compression: CompressionResource) => void;
  /** Stops the waiting, not the job. */
  readonly signal?: AbortSignal;
  /** Milliseconds until waiting is given up; an hour where nothing is said. */
  readonly timeout?: number;
  /** Milliseconds between two looks, first and longest; it grows while nothing moves. */
  readonly interval?: { readonly first: number; readonly longest: number };
}

const HOUR_MS = 3_600_000;

/** Attempts in a row that may fail before waiting gives up: the transport has retried each of them already. */
const FAILURES_BORNE = 3;

/** The artifact: read it once, as a stream or whole. */
export class Artifact {
  readonly bytes: number | null;
  readonly etag: string | null;
  private readonly response: Response;

  constructor(response: Response) {
    const length = response.headers.get("content-length");
    this.bytes = length === null ? null : Number(length);
    this.etag = response.headers.get("etag");
    this.response = response;
  }

  /** The ONNX bytes as they arrive. */
  stream(): ReadableStream<Uint8Array> {
    return this.response.body ?? new ReadableStream({ start: (controller) => controller.close() });
  }

  /** The ONNX bytes, whole. */
  async arrayBuffer(): Promise<ArrayBuffer> {
    return this.response.arrayBuffer();
  }

  /** The ONNX bytes, whole. */
  async toBytes(): Promise<Uint8Array> {
    return new Uint8Array(await this.arrayBuffer());
  }
}

export class Compressions {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Starts a job. The same `idempotencyKey` with the same request answers with the same job. */
  create(request: CompressionRequest, options?: RequestOptions): Promise<CompressionResource> {
    return this.transport.json({ method: "POST", path: "/v1/compressions", json: request, ...options });
  }

  get(id: string, options?: RequestOptions): Promise<CompressionResource> {
    return this.transport.json({ method: "GET", path: `/v1/compressions/${segment(id)}`, ...options });
  }

  list(options?: ListOptions): List<CompressionResource> {
    return new List(this.transport, "/v1/compressions", options);
  }

  cancel(id: string, options?: RequestOptions): Promise<CompressionResource> {
    return this.transport.json({
      method: "POST",
      path: `/v1/compressions/${segment(id)}/cancel`,
      ...options,
    });
  }

  /**
   * Waits until the job has succeeded, failed or been canceled, and answers with it: look at `status`.
   * @throws TimeoutError when the deadline passes first; the job goes on.
   */
  async wait(id: string, options: WaitOptions = {}): Promise<CompressionResource> {
    const { onProgress, signal, timeout = HOUR_MS, interval = { first: 250, longest: 3_000 } } = options;
    const deadline = Date.now() + timeout;
    let delay = interval.first;
    let seen = "";
    let failures = 0;
    for (;;) {
      const compression = await this.get(id, { signal }).catch((error: unknown) => {
        failures += 1;
        if (!isPassing(error) || failures >= FAILURES_BORNE) throw error;
        return null;
      });
      if (compression) {
        failures = 0;
        const state = `${compression.status} ${compression.step} ${compression.progress}`;
        delay = state === seen ? Math.min(delay * 1.5, interval.longest) : interval.first;
        if (state !== seen) onProgress?.(compression);
        seen = state;
        if (isFinished(compression)) return compression;
      }
      const left = deadline - Date.now();
      if (left <= 0) {
        throw new TimeoutError(
          `${id} has not finished in ${timeout} ms; it goes on, wait again or cancel it`,
        );
      }
      await pause(Math.min(delay, left), signal);
    }
  }

  /** The compressed model. @throws ConflictError before the job has succeeded. */
  async artifact(id: string, options?: RequestOptions): Promise<Artifact> {
    return new Artifact(await this.result(id, "artifact", "*/*", options));
  }

  /** What was measured. */
  async report(id: string, options?: RequestOptions): Promise<Report> {
    return this.transport.json({ ...this.look(id, "report", "application/json"), ...options });
  }

  /** The same as a page for people. */
  async reportHtml(id: string, options?: RequestOptions): Promise<string> {
    return (await this.result(id, "report", "text/html", options)).text();
  }

  /** The partition plan. @throws NotFoundError when the job was given no mix. */
  async plan(id: string, options?: RequestOptions): Promise<Plan> {
    return this.transport.json({ ...this.look(id, "plan", "application/json"), ...options });
  }

  /** The plan as a picture, as Python for JAX or PyTorch, or as an annotated copy of the artifact. */
  async exportPlan(id: string, format: PlanFormat, options?: RequestOptions): Promise<Artifact> {
    return new Artifact(await this.result(id, `plan?format=${format}`, "*/*", options));
  }

  private result(id: string, what: string, accept: string, options?: RequestOptions): Promise<Response> {
    return this.transport.request({ ...this.look(id, what, accept), ...options });
  }

  private look(id: string, what: string, accept: string) {
    return {
      method: "GET" as const,
      path: `/v1/compressions/${segment(id)}/${what}`,
      headers: { accept },
    };
  }
}

function isFinished({ status }: CompressionResource): boolean {
  return status === "succeeded" || status === "failed" || status === "canceled";
}

/** An outage that may end while a long job runs on. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof ConnectionError ||
    error instanceof TimeoutError ||
    (error instanceof ApiError && (error.status >= 500 || error.status === 429))
  );
}
