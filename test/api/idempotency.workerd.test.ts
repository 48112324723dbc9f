import { env } from "cloudflare:test";
import { beforeEach, describe, expect, test } from "vitest";
import { badModels, tinyModel } from "../onnx/bytes.ts";
import { type Account, jsonOf, newAccount, newModel, problemOf } from "./harness.ts";

let account: Account;

beforeEach(async () => {
  account = await newAccount();
});

const modelsOf = async () => (await jsonOf<{ data: unknown[] }>(await account.fetch("/v1/models"))).data;

describe("Idempotency-Key", () => {
  test("with the same request replays the answer and does nothing", async () => {
    const headers = { "idempotency-key": "a key" };
    const first = await account.upload("/v1/models", tinyModel, headers);
    const second = await account.upload("/v1/models", tinyModel, headers);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(second.headers.get("location")).toBe(first.headers.get("location"));
    expect(await second.text()).toBe(await first.text());
    expect(await modelsOf()).toHaveLength(1);
  });

  test("with another body, another path or another query is 422", async () => {
    const headers = { "idempotency-key": "k" };
    await account.upload("/v1/models", tinyModel, headers);
    const others = [
      account.upload("/v1/models", badModels.truncated, headers),
      account.upload("/v1/models?name=x", tinyModel, headers),
      account.upload("/v1/calibrations", tinyModel, headers),
    ];
    for (const response of await Promise.all(others)) {
      expect([response.status, (await problemOf(response)).code]).toEqual([422, "idempotency_mismatch"]);
    }
    expect(await modelsOf()).toHaveLength(1);
  });

  test("is 409 while the first request is being worked on, and free again once its lock has run out", async () => {
    const headers = { "idempotency-key": "busy" };
    await account.upload("/v1/models", tinyModel, headers);
    const lock = (until: number) =>
      env.DB.prepare("UPDATE idempotency_keys SET status = NULL, locked_until = ? WHERE account_id = ?")
        .bind(until, account.id)
        .run();
    await lock(Date.now() + 60_000);
    const busy = await account.upload("/v1/models", tinyModel, headers);
    expect([busy.status, (await problemOf(busy)).code]).toEqual([409, "idempotency_in_flight"]);
    expect(busy.headers.get("retry-after")).toBe("1");
    await lock(Date.now() - 1);
    expect((await account.upload("/v1/models", tinyModel, headers)).status).toBe(201);
    expect(await modelsOf()).toHaveLength(2);
  });

  test("of a request that failed may be used again", async () => {
    const headers = { "idempotency-key": "second chance" };
    expect((await account.upload("/v1/models", badModels.truncated, headers)).status).toBe(422);
    expect((await account.upload("/v1/models", tinyModel, headers)).status).toBe(201);
  });

  test("belongs to one account", async () => {
    const other = await newAccount();
    const headers = { "idempotency-key": "shared" };
    const [a, b] = [
      await account.upload("/v1/models", tinyModel, headers),
      await other.upload("/v1/models", tinyModel, headers),
    ];
    expect([a.status, b.status]).toEqual([201, 201]);
    expect(b.headers.get("idempotency-replayed")).toBeNull();
  });

  test("makes ten requests at once one job", async () => {
    const model = await newModel(account);
    const send = () => account.post("/v1/compressions", { model }, { "idempotency-key": "ten" });
    const answers = await Promise.all(Array.from({ length: 10 }, send));
    for (const { status } of answers) expect([202, 409]).toContain(status);
    const { data } = await jsonOf<{ data: { id: string }[] }>(await account.fetch("/v1/compressions"));
    expect(data).toHaveLength(1);
    expect(await jsonOf<{ id: string }>(await send())).toMatchObject({ id: data[0]!.id });
    await account.fetch(`/v1/compressions/${data[0]!.id}/cancel`, { method: "POST" });
  });

  test.each(["", "x".repeat(256), "ü"])("of a wrong form is refused: %j", async (key) => {
    const response = await account.upload("/v1/models", tinyModel, { "idempotency-key": key });
    expect(response.status).toBe(400);
  });
});
