import type { Bindings } from "../store/bindings.ts";
import type { Store } from "../store/store.ts";

/** What middleware puts beside a request. */
export interface AppEnv {
  Bindings: Bindings;
  Variables: {
    requestId: string;
    store: Store;
    /** Id of the account that the key belongs to; set on every path under /v1. */
    account: string;
  };
}
