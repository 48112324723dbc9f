import type { Engine } from "./engine.ts";
import type { ServerFlags } from "./options.ts";

/** This process, or the server that the flags or the environment name. Loaded late: help and usage errors are quick. */
export async function engineFor({ api }: ServerFlags): Promise<Engine> {
  if (!api) return (await import("./local-engine.ts")).localEngine;
  const { remoteEngine } = await import("./remote-engine.ts");
  return remoteEngine(api, process.env.HONE_API_KEY);
}
