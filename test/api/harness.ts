import { applyD1Migrations, env } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { expect, vi } from "vitest";
import type { CompressionResource, Problem } from "../../schemas/resources.ts";
import { newId } from "../../src/store/ids.ts";
import { insertKeySql, newKey } from "../../src/store/keys.ts";
import { tinyModel } from "../onnx/bytes.ts";

export interface Account {
  readonly id: string;
  readonly key: string;
  /** A request of this account. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** A POST of JSON. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  /** A POST of bytes. */
  upload(path: string, body: BodyInit, headers?: Record<string, string>): Promise<Response>;
}

const ORIGIN = "https://hone.test";

/** Addresses outside: nothing in a test reaches the network. A host that no test has taken is out of reach. */
const receivers = new Map<string, (request: Request) => Response | Promise<Response>>();

vi.stubGlobal("fetch", async (input: RequestInfo, init?: RequestInit) => {
  const request = new Request(input, init);
  const receive = receivers.get(new URL(request.url).host);
  if (!receive) throw new TypeError(`nobody listens at ${request.url}`);
  return receive(request);
});

/** Listens at `https://<host>/` until the end of the tests. */
export function listen(host: string, receive: (request: Request) => Response | Promise<Response>): void {
  receivers.set(host, receive);
}

/** A request without a key. */
export function request(path: string, init?: RequestInit): Promise<Response> {
  return exports.default.fetch(new Request(`${ORIGIN}${path}`, init));
}

/** A new account on the real migrations; nothing that a test does is seen by another one. */
export async function newAccount(): Promise<Account> {
  await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
  const id = newId("acc", Date.now());
  const key = newKey();
  for (const statement of insertKeySql(id, "test", key, Date.now()).split("\n")) {
    await env.DB.prepare(statement).run();
  }
  const fetch: Account["fetch"] = (path, init = {}) => {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${key}`);
    return request(path, { ...init, headers });
  };
  return {
    id,
    key,
    fetch,
    post: (path, body, headers = {}) =>
      fetch(path, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      }),
    upload: (path, body, headers = {}) =>
      fetch(path, {
        method: "POST",
        headers: { "content-type": "application/octet-stream", ...headers },
        body,
      }),
  };
}

/** The JSON of a success. */
export async function jsonOf<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

/** The problem details of an answer that has to be one. */
export async function problemOf(response: Response): Promise<Problem> {
  const type = response.headers.get("content-type");
  if (type !== "application/problem+json")
    throw new Error(`${response.status} ${type}: ${await response.text()}`);
  return (await response.json()) as Problem;
}

/** Uploads the smallest valid model. */
export async function newModel(account: Account, bytes: Uint8Array = tinyModel): Promise<string> {
  return (await jsonOf<{ id: string }>(await account.upload("/v1/models", bytes))).id;
}

/** Keys of everything that an account has in the bucket. */
export async function objectsOf(account: Account): Promise<string[]> {
  const { objects } = await env.OBJECTS.list({ prefix: `accounts/${account.id}/` });
  return objects.map(({ key }) => key.slice(`accounts/${account.id}/`.length));
}

/** Starts a job. */
export async function newJob(account: Account, request: object): Promise<CompressionResource> {
  return jsonOf(await account.post("/v1/compressions", request));
}

/** Looks at a job until it has ended. */
export async function ended(account: Account, id: string): Promise<CompressionResource> {
  return vi.waitFor(
    async () => {
      const job = await jsonOf<CompressionResource>(await account.fetch(`/v1/compressions/${id}`));
      expect(job.finished_at).not.toBeNull();
      return job;
    },
    { timeout: 50_000, interval: 50 },
  );
}
