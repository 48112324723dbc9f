import { Webhook, WebhookVerificationError } from "standardwebhooks";
import type { z } from "zod";
import type * as schemas from "../../schemas/resources.ts";
import type { WebhookEndpointResource, WebhookEvent } from "../../schemas/resources.ts";
import { HoneError } from "./errors.ts";
import { segment } from "./models.ts";
import { List, type ListOptions } from "./pages.ts";
import type { RequestOptions, Transport } from "./transport.ts";

type WebhookEndpointRequest = z.infer<typeof schemas.WebhookEndpointRequest>;

/** The message does not come from Hone, was altered, or is older than five minutes: answer 400 and drop it. */
export class WebhookSignatureError extends HoneError {
  override name = "WebhookSignatureError";
}

export const webhooks = {
  /**
   * Checks a webhook (Standard Webhooks) and answers with its event.
   * @param payload the body exactly as it arrived, not parsed and printed again
   * @param secret `whsec_…`, shown once in the answer to the creation
   * @throws WebhookSignatureError
   */
  verify(
    payload: string | Uint8Array,
    headers: Headers | Readonly<Record<string, string | string[] | undefined>>,
    secret: string,
  ): WebhookEvent {
    const body = typeof payload === "string" ? payload : new TextDecoder().decode(payload);
    try {
      return new Webhook(secret).verify(body, plain(headers)) as WebhookEvent;
    } catch (cause) {
      const reason =
        cause instanceof WebhookVerificationError ? cause.message : "secret or body is malformed";
      throw new WebhookSignatureError(`webhook refused: ${reason}`, { cause });
    }
  },
};

function plain(headers: Headers | Readonly<Record<string, string | string[] | undefined>>) {
  const entries = headers instanceof Headers ? [...headers] : Object.entries(headers);
  return Object.fromEntries(
    entries.flatMap(([name, value]) => (typeof value === "string" ? [[name.toLowerCase(), value]] : [])),
  );
}

export class WebhookEndpoints {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  create(request: WebhookEndpointRequest, options?: RequestOptions): Promise<WebhookEndpointResource> {
    return this.transport.json({ method: "POST", path: "/v1/webhook_endpoints", json: request, ...options });
  }

  get(id: string, options?: RequestOptions): Promise<WebhookEndpointResource> {
    return this.transport.json({ method: "GET", path: `/v1/webhook_endpoints/${segment(id)}`, ...options });
  }

  list(options?: ListOptions): List<WebhookEndpointResource> {
    return new List(this.transport, "/v1/webhook_endpoints", options);
  }

  update(
    id: string,
    change: Partial<WebhookEndpointRequest>,
    options?: RequestOptions,
  ): Promise<WebhookEndpointResource> {
    return this.transport.json({
      method: "PATCH",
      path: `/v1/webhook_endpoints/${segment(id)}`,
      json: change,
      ...options,
    });
  }

  async delete(id: string, options?: RequestOptions): Promise<void> {
    await this.transport.request({
      method: "DELETE",
      path: `/v1/webhook_endpoints/${segment(id)}`,
      ...options,
    });
  }
}
