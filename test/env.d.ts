import type { Bindings } from "../src/store/bindings.ts";

/** What vitest.config.ts adds to the Worker's own bindings. */
interface TestBindings extends Bindings {
  readonly TEST_MIGRATIONS: import("cloudflare:test").D1Migration[];
}

declare global {
  namespace Cloudflare {
    interface Env extends TestBindings {}
    interface GlobalProps {
      mainModule: typeof import("../src/index.ts");
    }
  }
}
