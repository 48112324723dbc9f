import type { Random } from "../../src/evaluate/random.ts";
import type { Bindings } from "../../src/store/bindings.ts";

/** Shares of the calls that go wrong. */
export interface Rates {
  /** Of R2 and D1: half of them before anything happens, half when it has happened and the answer is lost. */
  readonly storage: number;
  /** Of the messages to a queue, for each of: lost, doubled, late. */
  readonly queue: number;
}

/** The bindings, with storage that fails and queues that lose, double and delay, by seeded chance. */
export function faultyBindings(bindings: Bindings, rates: Rates, random: Random): Bindings {
  const fails = () => random.uniform() < rates.storage;
  const risky: Around = async (what, call) => {
    if (!fails()) return call();
    const before = random.uniform() < 0.5;
    if (!before) await call();
    throw new Error(`injected: ${what} ${before ? "was refused" : "lost its answer"}`);
  };
  return {
    ...bindings,
    OBJECTS: replacing(
      bindings.OBJECTS,
      ["head", "get", "put", "delete", "list", "createMultipartUpload"],
      risky,
    ),
    DB: faultyDatabase(bindings.DB, risky),
    LAYERS: faultyQueue(bindings.LAYERS, rates.queue, random),
    DELIVERIES: faultyQueue(bindings.DELIVERIES, rates.queue, random),
  };
}

type Around = (name: string, call: () => Promise<unknown>) => Promise<unknown>;

function faultyDatabase(database: D1Database, around: Around): D1Database {
  const statement = (one: D1PreparedStatement): D1PreparedStatement =>
    new Proxy(replacing(one, ["run", "all", "raw", "first"], around), {
      get: (target, name) =>
        name === "bind"
          ? (...values: unknown[]) => statement(one.bind(...values))
          : Reflect.get(target, name),
    });
  return new Proxy(replacing(database, ["batch"], around), {
    get: (target, name) =>
      name === "prepare" ? (sql: string) => statement(database.prepare(sql)) : Reflect.get(target, name),
  });
}

/** The object with some of its methods called by way of `around`. */
function replacing<T extends object>(object: T, methods: readonly string[], around: Around): T {
  return new Proxy(object, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      const call = (...args: unknown[]) => Reflect.apply(method, target, args);
      if (typeof name !== "string" || !methods.includes(name)) return call;
      return (...args: unknown[]) => around(name, async () => call(...args));
    },
  });
}

/** Messages come late by whole seconds, so that others overtake them. */
function faultyQueue<M>(queue: Queue<M>, rate: number, random: Random): Queue<M> {
  const send = async (body: M, options: QueueSendOptions = {}): Promise<void> => {
    const chance = random.uniform();
    if (chance < rate) return;
    const late = chance > 1 - rate;
    const delaySeconds = (options.delaySeconds ?? 0) + (late ? 1 + random.integer(3) : 0);
    await queue.send(body, { ...options, delaySeconds });
    if (chance < 2 * rate) await queue.send(body, { ...options, delaySeconds: delaySeconds + 1 });
  };
  const sendBatch = async (messages: Iterable<MessageSendRequest<M>>): Promise<void> => {
    for (const { body, delaySeconds } of messages) await send(body, { delaySeconds });
  };
  return { send, sendBatch } as unknown as Queue<M>;
}
