import type { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { CompressionRequest, CompressionResource } from "../../schemas/resources.ts";
import { startJob } from "../jobs/lifecycle.ts";
import { compressionResource } from "../jobs/resource.ts";
import { refusedTarget } from "../jobs/webhook-target.ts";
import { checkMix } from "../partition/mix.ts";
import type { CompressionRow } from "../store/compressions.ts";
import { newId } from "../store/ids.ts";
import type { AppEnv } from "./context.ts";
import { ProblemError } from "./problem.ts";

/** Checks what the schema cannot, and starts the job. */
export async function createCompression(
  c: Context<AppEnv>,
  request: z.output<typeof CompressionRequest>,
): Promise<CompressionResource> {
  const { store, account } = c.var;
  await requireReferences(c, request);
  if (request.mix) checkMix(request.mix);
  const webhook = request.webhook ? webhookOf(c, request.webhook) : null;
  const now = Date.now();
  const row: CompressionRow = {
    id: newId("cmp", now),
    accountId: account,
    modelId: request.model,
    calibrationId: request.calibration ?? null,
    recipe: request.recipe ?? {},
    mix: request.mix ?? null,
    planOptions: request.plan ?? {},
    metadata: request.metadata ?? {},
    status: "queued",
    step: null,
    progress: 0,
    errorCode: null,
    errorMessage: null,
    artifactKey: null,
    artifactBytes: null,
    artifactSha256: null,
    reportKey: null,
    planKey: null,
    webhookUrl: webhook?.url ?? null,
    webhookSecret: webhook?.secret ?? null,
    notifiedAt: null,
    freedAt: null,
    createdAt: now,
    startedAt: null,
    finishedAt: null,
    expiresAt: null,
  };
  await startJob(store, c.env, row);
  // The only time that the secret is shown.
  return { ...compressionResource(row), webhook };
}

/** @throws ProblemError that points at what does not exist in the account. */
async function requireReferences(
  c: Context<AppEnv>,
  { model, calibration }: Pick<CompressionRequest, "model" | "calibration">,
): Promise<void> {
  const { store, account } = c.var;
  const missing = (pointer: string, what: string, id: string) => {
    const detail = `There is no ${what} ${id} in this account.`;
    return new ProblemError("unknown_reference", detail, { errors: [{ pointer, detail }] });
  };
  if (!(await store.models.get(account, model))) throw missing("/model", "model", model);
  if (calibration && !(await store.calibrations.get(account, calibration))) {
    throw missing("/calibration", "calibration", calibration);
  }
}

/** @throws ProblemError where webhooks may not be sent. */
export function requireTarget(c: Context<AppEnv>, url: string, pointer: string): void {
  const refused = refusedTarget(url, { allowLoopback: c.env.ALLOW_LOOPBACK_WEBHOOKS === "1" });
  if (refused) {
    throw new ProblemError("webhook_target_refused", refused, { errors: [{ pointer, detail: refused }] });
  }
}

function webhookOf(c: Context<AppEnv>, { url, secret }: { url: string; secret?: string }) {
  requireTarget(c, url, "/webhook/url");
  if (secret !== undefined && !isSecret(secret)) {
    const detail = "A secret is `whsec_` and base64 of 24 to 64 bytes.";
    throw new ProblemError("invalid_request", detail, { errors: [{ pointer: "/webhook/secret", detail }] });
  }
  return { url, secret: secret ?? newSecret() };
}

/** Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes. */
function isSecret(text: string): boolean {
  const match = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text);
  if (!match || match[1]!.length % 4 !== 0) return false;
  const bytes = atob(match[1]!).length;
  return bytes >= 24 && bytes <= 64;
}

export function newSecret(): string {
  return `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))))}`;
}
