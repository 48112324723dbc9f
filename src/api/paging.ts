import { z } from "@hono/zod-openapi";

/** Query of every list. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(100).default(20).describe("Items a page."),
  after: z.string().max(64).optional().describe("Id of the last item of the page before."),
};

export const PageQuery = z.strictObject(pageQuery);

/** Builds a page of rows of which one more than `limit` was asked for. */
export function page<Row, Item>(rows: readonly Row[], limit: number, item: (row: Row) => Item) {
  return {
    object: "list" as const,
    data: rows.slice(0, limit).map(item),
    has_more: rows.length > limit,
  };
}
