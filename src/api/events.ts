import { createRoute, z } from "@hono/zod-openapi";
import { streamSSE } from "hono/streaming";
import { CompressionEvent, Page } from "../../schemas/resources.ts";
import { eventResource } from "../jobs/resource.ts";
import type { Store } from "../store/store.ts";
import { CompressionParams, requireCompression } from "./compressions.ts";
import { page } from "./paging.ts";
import { bearer, problems } from "./responses.ts";
import { newRouter } from "./validation.ts";

const LOOK_EVERY_MS = 500;
const KEEP_ALIVE_MS = 15_000;
/** A stream ends after a while; the client resumes it with Last-Event-ID, as browsers do by themselves. */
const LONGEST_STREAM_MS = 10 * 60_000;
const BATCH = 100;

const query = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(100).describe("Events a page."),
  after: z.coerce.number().int().min(0).optional().describe("Id of the last event seen."),
});

export const events = newRouter();

events.openapi(
  createRoute({
    method: "get",
    path: "/compressions/{id}/events",
    tags: ["Compressions"],
    security: bearer,
    summary: "Follow a job",
    description:
      "With `Accept: text/event-stream`, server-sent events until the job has ended; resumed by Last-Event-ID. Otherwise a page of what has happened so far, oldest first.",
    request: { params: CompressionParams, query },
    responses: {
      200: {
        description: "What has happened",
        content: {
          "application/json": { schema: Page(CompressionEvent) },
          "text/event-stream": { schema: z.string() },
        },
      },
      ...problems,
    },
  }),
  async (c) => {
    const { id } = await requireCompression(c, c.req.valid("param").id);
    const { limit, after = 0 } = c.req.valid("query");
    const { store } = c.var;
    if (!c.req.header("accept")?.includes("text/event-stream")) {
      const rows = await store.compressions.events(id, after, limit + 1);
      return c.json(page(rows, limit, eventResource), 200);
    }
    const last = Number(c.req.header("last-event-id") ?? after);
    // Buffering proxies would hold events back.
    c.header("X-Accel-Buffering", "no");
    return streamSSE(c, async (stream) => {
      const end = Date.now() + LONGEST_STREAM_MS;
      let seen = Number.isSafeInteger(last) ? last : 0;
      let quiet = 0;
      while (!stream.aborted && Date.now() < end) {
        const news = await newEvents(store, id, seen);
        for (const event of news) {
          await stream.writeSSE({ id: String(event.id), event: event.type, data: JSON.stringify(event) });
          seen = event.id;
        }
        if (news.some(({ type }) => isEnd(type)) || (news.length === 0 && (await hasEnded(store, id))))
          return;
        quiet = news.length > 0 ? 0 : quiet + LOOK_EVERY_MS;
        if (quiet >= KEEP_ALIVE_MS) {
          await stream.write(": still here\n\n");
          quiet = 0;
        }
        if (news.length < BATCH) await stream.sleep(LOOK_EVERY_MS);
      }
    });
  },
);

async function newEvents(store: Store, id: string, after: number): Promise<CompressionEvent[]> {
  return (await store.compressions.events(id, after, BATCH)).map(eventResource);
}

function isEnd(type: CompressionEvent["type"]): boolean {
  return type === "succeeded" || type === "failed" || type === "canceled";
}

/** A client that has seen the end already, or a job that was deleted, gets no further event. */
async function hasEnded(store: Store, id: string): Promise<boolean> {
  const row = await store.compressions.ofJob(id);
  return row === undefined || row.finishedAt !== null;
}
