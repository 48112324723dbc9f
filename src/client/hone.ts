import type { Accelerator } from "../../schemas/mix.ts";
import type { Plan } from "../../schemas/plan.ts";
import type { PlanRequest } from "../../schemas/resources.ts";
import { Compressions } from "./compressions.ts";
import { Calibrations, Models } from "./models.ts";
import type { Page } from "./pages.ts";
import { type ClientOptions, type RequestOptions, Transport } from "./transport.ts";
import { WebhookEndpoints, webhooks } from "./webhooks.ts";

/**
 * The client of the Hone API. Needs nothing but fetch: it runs in Node, Workers and browsers.
 *
 * ```ts
 * const hone = new Hone({ apiKey, baseUrl });
 * const model = await hone.models.upload(bytes);
 * const { id } = await hone.compressions.create({ model: model.id });
 * await hone.compressions.wait(id);
 * const artifact = await (await hone.compressions.artifact(id)).toBytes();
 * ```
 */
export class Hone {
  readonly models: Models;
  readonly calibrations: Calibrations;
  readonly compressions: Compressions;
  readonly plans: Plans;
  readonly accelerators: Accelerators;
  readonly webhookEndpoints: WebhookEndpoints;
  readonly webhooks = webhooks;

  constructor(options: ClientOptions) {
    const transport = new Transport(options);
    this.models = new Models(transport);
    this.calibrations = new Calibrations(transport);
    this.compressions = new Compressions(transport);
    this.plans = new Plans(transport);
    this.accelerators = new Accelerators(transport);
    this.webhookEndpoints = new WebhookEndpoints(transport);
  }
}

class Plans {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Plans an uploaded model for a mix, without compressing it. */
  create(request: PlanRequest, options?: RequestOptions): Promise<Plan> {
    return this.transport.json({ method: "POST", path: "/v1/plans", json: request, ...options });
  }
}

class Accelerators {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** The catalogue, with the source of every figure. */
  async list(options?: RequestOptions): Promise<Accelerator[]> {
    const page = await this.transport.json<Page<Accelerator>>({
      method: "GET",
      path: "/v1/accelerators",
      ...options,
    });
    return [...page.data];
  }
}
