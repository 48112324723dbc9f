import { defineConfig } from "drizzle-kit";

/** `npm run generate` writes the next migration from src/store/tables.ts. */
export default defineConfig({
  dialect: "sqlite",
  schema: "./src/store/tables.ts",
  out: "./migrations",
});
