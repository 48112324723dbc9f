import { createApp } from "./api/app.ts";
import { type DeliveryHost, deliver } from "./jobs/deliver.ts";
import { sweep } from "./jobs/sweep.ts";
import { CompressionWorkflow } from "./jobs/workflow.ts";
import type { Bindings, DeliveryMessage } from "./store/bindings.ts";
import { Store } from "./store/store.ts";

export { CompressionWorkflow };

const app = createApp();

export default {
  fetch: app.fetch,

  /** One attempt a message. The outbox remembers what is due, so a message is never worth a retry of its own. */
  async queue(batch, bindings) {
    const store = new Store(bindings);
    const host: DeliveryHost = {
      fetch: (input, init) => fetch(input, init),
      queue: bindings.DELIVERIES,
      allowLoopback: bindings.ALLOW_LOOPBACK_WEBHOOKS === "1",
      now: () => Date.now(),
      random: () => Math.random(),
    };
    await Promise.all(batch.messages.map(({ body }) => deliver(store, host, body.delivery)));
  },

  async scheduled(controller, bindings) {
    await sweep(new Store(bindings), bindings, controller.scheduledTime);
  },
} satisfies ExportedHandler<Bindings, DeliveryMessage>;
