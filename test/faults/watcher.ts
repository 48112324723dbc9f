import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { WebhookEvent } from "../../schemas/resources.ts";

export interface Boundary {
  readonly step: string;
  readonly at: "begin" | "end";
}

/** A webhook as it came in. */
export interface Received {
  /** Last part of the address. */
  readonly receiver: string;
  readonly id: string;
  readonly event: WebhookEvent;
  readonly status: number;
}

/** What stands outside the runtime and outlives it: hears of steps, and receives webhooks. */
export class Watcher {
  readonly received: Received[] = [];
  /** Whether the process is to end there; a boundary that is held is never answered. */
  hold: (boundary: Boundary) => boolean = () => false;
  readonly #server: Server;
  /** Receivers that answer an event's first attempt with 500. */
  readonly #refusing: ReadonlySet<string>;

  constructor(refusing: readonly string[]) {
    this.#refusing = new Set(refusing);
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    if (request.url === "/boundary") {
      if (!this.hold(JSON.parse(body))) response.end();
      return;
    }
    const receiver = request.url!.split("/").at(-1)!;
    const id = String(request.headers["webhook-id"]);
    const first = !this.received.some((one) => one.receiver === receiver && one.id === id);
    const status = first && this.#refusing.has(receiver) ? 500 : 200;
    this.received.push({ receiver, id, event: JSON.parse(body), status });
    response.writeHead(status).end();
  }
}
