import { env } from "cloudflare:test";
import { Webhook } from "standardwebhooks";
import { expect, test, vi } from "vitest";
import type { DeliveryResource, WebhookEvent } from "../../schemas/resources.ts";
import { type DeliveryHost, deliver } from "../../src/jobs/deliver.ts";
import { Store } from "../../src/store/store.ts";
import { type Account, ended, jsonOf, listen, newAccount, newJob, newModel } from "../api/harness.ts";

interface Received {
  readonly body: string;
  readonly headers: Record<string, string>;
}

/** A receiver that answers with these statuses in turn, the last one for ever. */
function receiver(host: string, ...statuses: number[]): Received[] {
  const received: Received[] = [];
  listen(host, async (request) => {
    received.push({ body: await request.text(), headers: Object.fromEntries(request.headers) });
    return new Response(null, { status: statuses[Math.min(received.length, statuses.length) - 1]! });
  });
  return received;
}

async function deliveriesOf(account: Account, job: string): Promise<DeliveryResource[]> {
  const page = await jsonOf<{ data: DeliveryResource[] }>(
    await account.fetch(`/v1/compressions/${job}/deliveries`),
  );
  return page.data;
}

/** The outbox as it is `ms` from now, without waiting that long. */
function later(ms: number): DeliveryHost {
  return {
    fetch: (input, init) => fetch(input, init),
    queue: env.DELIVERIES,
    allowLoopback: false,
    now: () => Date.now() + ms,
    random: () => 0,
  };
}

test("the end of a job is told once to its webhook and to each endpoint, signed with their secrets", async () => {
  const account = await newAccount();
  const [own, shared] = [receiver("own.example", 204), receiver("shared.example", 200)];
  const endpoint = await jsonOf<{ secret: string }>(
    await account.post("/v1/webhook_endpoints", { url: "https://shared.example/hook" }),
  );
  const model = await newModel(account);
  const job = await newJob(account, { model, webhook: { url: "https://own.example/hook" } });
  await ended(account, job.id);
  await vi.waitFor(() => expect([own.length, shared.length]).toEqual([1, 1]), { timeout: 20_000 });
  for (const [{ body, headers }, secret] of [
    [own[0]!, job.webhook!.secret!],
    [shared[0]!, endpoint.secret],
  ] as const) {
    const event = new Webhook(secret).verify(body, headers) as WebhookEvent;
    expect(event).toMatchObject({ type: "compression.succeeded", data: { id: job.id } });
  }
  expect(() => new Webhook(endpoint.secret).verify(own[0]!.body, own[0]!.headers)).toThrow();
});

test("an attempt that fails is made again when it is due, under the same id, and not before", async () => {
  const account = await newAccount();
  const received = receiver("flaky.example", 503, 200);
  const model = await newModel(account);
  const job = await newJob(account, { model, webhook: { url: "https://flaky.example/hook" } });
  await ended(account, job.id);
  await vi.waitFor(() => expect(received).toHaveLength(1), { timeout: 20_000 });
  const pending = await vi.waitFor(async () => {
    const [delivery] = await deliveriesOf(account, job.id);
    expect(delivery).toMatchObject({ status: "pending", attempts: 1 });
    return delivery!;
  });
  const store = new Store(env);
  await deliver(store, later(0), pending.id);
  expect(received).toHaveLength(1);
  await deliver(store, later(6_000), pending.id);
  expect(received).toHaveLength(2);
  expect(received[1]!.headers["webhook-id"]).toBe(received[0]!.headers["webhook-id"]);
  expect((await deliveriesOf(account, job.id))[0]).toMatchObject({ status: "delivered", attempts: 2 });
  await deliver(store, later(60_000), pending.id);
  expect(received).toHaveLength(2);
});

test("410 ends the attempts and disables the endpoint", async () => {
  const account = await newAccount();
  receiver("gone.example", 410);
  const { id } = await jsonOf<{ id: string }>(
    await account.post("/v1/webhook_endpoints", { url: "https://gone.example/hook" }),
  );
  const job = await newJob(account, { model: await newModel(account) });
  await ended(account, job.id);
  await vi.waitFor(
    async () => {
      const endpoint = await jsonOf<{ enabled: boolean }>(await account.fetch(`/v1/webhook_endpoints/${id}`));
      expect(endpoint.enabled).toBe(false);
    },
    { timeout: 20_000 },
  );
  expect((await deliveriesOf(account, job.id))[0]).toMatchObject({ status: "failed", attempts: 1 });
});
