import { createMiddleware } from "hono/factory";
import type { AppEnv } from "./context.ts";
import { ProblemError } from "./problem.ts";

/** Finds the account of the bearer key. */
export const authenticate = createMiddleware<AppEnv>(async (c, next) => {
  const header = c.req.header("authorization");
  const key = header?.match(/^Bearer +(\S+)$/i)?.[1];
  const account = key ? await c.var.store.accounts.ofKey(key) : null;
  if (!account) {
    const detail = header
      ? "The Authorization header holds no valid key. Send `Authorization: Bearer hone_sk_…`."
      : "The Authorization header is missing. Send `Authorization: Bearer hone_sk_…`.";
    throw new ProblemError("unauthenticated", detail, { headers: { "WWW-Authenticate": "Bearer" } });
  }
  c.set("account", account);
  await next();
});
