/** What the Worker is given by wrangler.toml. */
export interface Bindings {
  readonly DB: D1Database;
  readonly OBJECTS: R2Bucket;
  readonly DELIVERIES: Queue<DeliveryMessage>;
  readonly COMPRESSIONS: Workflow<CompressionParams>;
  /** "1" lets webhooks go to this machine, over http too. For local development only. */
  readonly ALLOW_LOOPBACK_WEBHOOKS?: string;
  /** Largest request body in bytes; 100 MB, Cloudflare's own limit, where nothing is said. */
  readonly MAX_BODY_BYTES?: string;
}

/** Asks for one attempt of one webhook delivery. */
export interface DeliveryMessage {
  readonly delivery: string;
}

/** Everything else about the job stands in its row. */
export interface CompressionParams {
  readonly compression: string;
}
