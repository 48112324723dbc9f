import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import * as tables from "./tables.ts";

export type Database = DrizzleD1Database<typeof tables>;

export function openDatabase(binding: D1Database): Database {
  return drizzle(binding, { schema: tables });
}
