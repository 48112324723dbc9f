import type { RequestOptions, Transport } from "./transport.ts";

export interface ListOptions extends RequestOptions {
  /** Items a page, 1 to 100; the server's default is 20. */
  readonly limit?: number;
  /** Id of the item after which to begin. */
  readonly after?: string;
}

export interface Page<T> {
  readonly data: readonly T[];
  readonly has_more: boolean;
}

/** A list: `await` gives the first page, `for await` every item over all pages. */
export class List<T extends { id: string }> implements PromiseLike<Page<T>>, AsyncIterable<T> {
  private readonly fetchPage: (after: string | undefined) => Promise<Page<T>>;
  private readonly first: string | undefined;

  constructor(transport: Transport, path: string, options: ListOptions = {}) {
    this.first = options.after;
    this.fetchPage = (after) =>
      transport.json<Page<T>>({
        method: "GET",
        path,
        query: { limit: options.limit, after },
        signal: options.signal,
      });
  }

  // biome-ignore lint/suspicious/noThenProperty: awaiting a list for its first page is the point
  then<A = Page<T>, B = never>(
    onfulfilled?: ((page: Page<T>) => A | PromiseLike<A>) | null,
    onrejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.fetchPage(this.first).then(onfulfilled, onrejected);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    let after = this.first;
    for (;;) {
      const page = await this.fetchPage(after);
      yield* page.data;
      const last = page.data.at(-1);
      // A server that says "more" after an empty page, or gives the same page again, must not hold us for ever.
      if (!page.has_more || !last || last.id === after) return;
      after = last.id;
    }
  }
}
