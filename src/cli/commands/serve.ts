import { join, resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { FailedError } from "../errors.ts";
import { ROOT } from "../state-folder.ts";

const STATE = join(ROOT, ".wrangler/state");

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export function serveCommand(): Command {
  return new Command("serve")
    .description("serve the API on this machine, with its state on disk")
    .option("--port <n>", "port on 127.0.0.1; 0 takes a free one", port, 8787)
    .option("--state <folder>", "folder of the state (default: .wrangler/state of the checkout)")
    .action((options: { port: number; state?: string }) =>
      serve(options.port, resolve(options.state ?? STATE)),
    );
}

async function serve(port: number, state: string): Promise<void> {
  const asked = new Promise<"asked">((resolve) => {
    for (const signal of SIGNALS) process.once(signal, () => resolve("asked"));
  });
  const { startServer } = await import("../server.ts");
  process.stderr.write("Starting the API …\n");
  const starting = startServer({ port, state });
  const server = await Promise.race([starting, asked]);
  // The runtime ends with this process.
  if (server === "asked") process.exit(130);
  process.stdout.write(
    [
      `Hone API      ${server.url}`,
      `API key       ${server.key}`,
      `Reference     ${server.url}/docs`,
      `State, log    ${state}`,
      "Ctrl-C ends it.",
      "",
    ].join("\n"),
  );
  const why = await Promise.race([server.ended, asked]);
  await server.stop();
  if (why !== "asked")
    throw new FailedError("server", `the local runtime ended by itself; its log: ${server.log}`);
}

function port(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65_535)
    throw new InvalidArgumentError("a port is a number up to 65535.");
  return value;
}
