import type { Engine } from "./engine.ts";
import { localEngine } from "./local-engine.ts";
import type { ServerFlags } from "./options.ts";
import { remoteEngine } from "./remote-engine.ts";

/** This process, or the server that the flags or the environment name. */
export function engineFor({ api }: ServerFlags): Engine {
  return api ? remoteEngine(api, process.env.HONE_API_KEY) : localEngine;
}
