import { createApp } from "./api/app.ts";
import { type DeliveryHost, deliver } from "./jobs/deliver.ts";
import { treatBatch } from "./jobs/layer-queue.ts";
import { resumeJobs } from "./jobs/lifecycle.ts";
import { sweep } from "./jobs/sweep.ts";
import { CompressionWorkflow } from "./jobs/workflow.ts";
import type { Bindings, DeliveryMessage, LayerMessage } from "./store/bindings.ts";
import { Store } from "./store/store.ts";

export { CompressionWorkflow };

/** No trigger of wrangler.toml: the local server sends it once it has come up. */
const REBOOT = "@reboot";

/** As wrangler.toml names it. */
const LAYER_QUEUE = "hone-layers";

const app = createApp();

export default {
  fetch: app.fetch,

  async queue(batch, bindings) {
    const store = new Store(bindings);
    if (isOfLayers(batch)) return treatBatch(batch.messages, store, bindings);
    const host: DeliveryHost = {
      fetch: (input, init) => fetch(input, init),
      queue: bindings.DELIVERIES,
      allowLoopback: bindings.ALLOW_LOOPBACK_WEBHOOKS === "1",
      now: () => Date.now(),
      random: () => Math.random(),
    };
    const deliveries = batch.messages as readonly Message<DeliveryMessage>[];
    // One attempt a message. The outbox remembers what is due, so a message is never worth a retry of its own.
    await Promise.all(deliveries.map(({ body }) => deliver(store, host, body.delivery)));
  },

  async scheduled(controller, bindings) {
    const store = new Store(bindings);
    if (controller.cron === REBOOT) return resumeJobs(store, bindings, controller.scheduledTime);
    await sweep(store, bindings, controller.scheduledTime);
  },
} satisfies ExportedHandler<Bindings, DeliveryMessage | LayerMessage>;

function isOfLayers(
  batch: MessageBatch<DeliveryMessage | LayerMessage>,
): batch is MessageBatch<LayerMessage> {
  return batch.queue === LAYER_QUEUE;
}
