import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { WebhookEvent } from "../../schemas/resources.ts";
import { webhooks } from "../../src/client/webhooks.ts";

/** A small server that takes webhooks, checks their signature and keeps the first one. */
export interface Receiver {
  readonly url: string;
  /** Verifies with the secret, once it is known. @throws Error when none has come in time. */
  event(secret: string, timeoutMs: number): Promise<WebhookEvent>;
  close(): void;
}

export async function startReceiver(): Promise<Receiver> {
  let arrived: (message: { body: string; headers: Record<string, string | string[] | undefined> }) => void;
  const message = new Promise<Parameters<typeof arrived>[0]>((resolve) => {
    arrived = resolve;
  });
  const server = createServer(async (request, response) => {
    arrived({ body: await text(request), headers: request.headers });
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/webhook`,
    async event(secret, timeoutMs) {
      const { body, headers } = await Promise.race([
        message,
        new Promise<never>((_, reject) => {
          setTimeout(() => reject(new Error("no webhook came")), timeoutMs).unref();
        }),
      ]);
      return webhooks.verify(body, headers, secret);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
