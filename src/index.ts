import { createApp } from "./api/app.ts";
import { type DeliveryHost, deliver } from "./jobs/deliver.ts";
import { resumeJobs } from "./jobs/lifecycle.ts";
import { sweep } from "./jobs/sweep.ts";
import { CompressionWorkflow } from "./jobs/workflow.ts";
import type { Bindings, DeliveryMessage } from "./store/bindings.ts";
import { Store } from "./store/store.ts";

export { CompressionWorkflow };

/** No trigger of wrangler.toml: the local server sends it once it has come up. */
const REBOOT = "@reboot";

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
    const store = new Store(bindings);
    if (controller.cron === REBOOT) return resumeJobs(store, bindings.COMPRESSIONS, controller.scheduledTime);
    await sweep(store, bindings, controller.scheduledTime);
  },
} satisfies ExportedHandler<Bindings, DeliveryMessage>;
