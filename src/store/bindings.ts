/** What the Worker is given by wrangler.toml. */
export interface Bindings {
  readonly DB: D1Database;
  readonly OBJECTS: R2Bucket;
  readonly DELIVERIES: Queue<DeliveryMessage>;
  readonly LAYERS: Queue<LayerMessage>;
  readonly COMPRESSIONS: Workflow<CompressionParams>;
  /** "1" lets webhooks go to this machine, over http too. For local development only. */
  readonly ALLOW_LOOPBACK_WEBHOOKS?: string;
  /** Largest request body in bytes; 100 MB, Cloudflare's own limit, where nothing is said. */
  readonly MAX_BODY_BYTES?: string;
  /** Layers of one job that are in the queue at a time; 100 where nothing is said. */
  readonly LAYERS_AT_ONCE?: string;
  /** Seconds without a treated layer after which a job sends for what is missing once more; 300 where nothing is said. */
  readonly LAYER_PATIENCE_S?: string;
}

/** Asks for one attempt of one webhook delivery. */
export interface DeliveryMessage {
  readonly delivery: string;
}

/** Asks for one layer of a job, and then for the one `stride` layers further. */
export interface LayerMessage {
  readonly compression: string;
  readonly layer: number;
  readonly stride: number;
  /** Layers of the job. */
  readonly count: number;
  /** Share of the job's progress at which its layers begin and end. */
  readonly progress: readonly [number, number];
}

/** Everything else about the job stands in its row. */
export interface CompressionParams {
  readonly compression: string;
}
