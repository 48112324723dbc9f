import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { FailedError } from "./errors.ts";
import { scriptFile } from "./script-file.ts";
import { preparedKey, ROOT } from "./state-folder.ts";

/** The API on its embedded local runtime: `wrangler dev` with D1, R2, Queues and Workflows on disk. */
export interface LocalServer {
  readonly url: string;
  /** The development key, made once for a state folder. */
  readonly key: string;
  /** Where the runtime writes its log. */
  readonly log: string;
  /** Resolves when the runtime has ended, by `stop` or by itself. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
  /** Ends the runtime as a crash does. */
  kill(): Promise<void>;
}

export interface LocalServerOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Folder of the databases, the objects and the key. */
  readonly state: string;
  /** Another Worker than the one that wrangler.toml names, with the same bindings: for tests. */
  readonly entry?: string;
  /** Further variables of the Worker's. */
  readonly vars?: Readonly<Record<string, string>>;
}

const WRANGLER = join(ROOT, "node_modules/wrangler/bin/wrangler.js");
const HOST = "127.0.0.1";
const READY_WITHIN_MS = 90_000;
/** A request that comes while the runtime reloads may hang: ask again soon. */
const READY_ATTEMPT_MS = 2_000;
const ENDS_WITHIN_MS = 8_000;
const CRON_EVERY_MS = 60_000;
const RESUME_ATTEMPTS = 10;
/**
 * An isolate has twice here what it has on the platform, and all of them live in one process. V8 collects early, little at a time and for
 * what lies outside of its heap as well, as freed buffers pile up for hundreds of MB otherwise; and only what is hot of onnxruntime's
 * thousands of functions is compiled a second time.
 */
const V8_FLAGS = [
  "--max-old-space-size=256",
  "--initial-old-space-size=4",
  "--heap-growing-percent=10",
  "--external-memory-max-growing-factor=1.05",
  "--max-semi-space-size=1",
  "--no-incremental-marking",
  "--memory-saver-mode",
  "--wasm-tiering-budget=60000000",
].join(" ");

/**
 * Starts the API and waits until it answers. Migrations and the key's hash are written before.
 * @throws FailedError when the port is taken or the runtime does not come up, with the end of its log.
 */
export async function startServer(options: LocalServerOptions): Promise<LocalServer> {
  const { state, entry } = options;
  const at = await freePort(options.port);
  await mkdir(state, { recursive: true });
  const key = await prepare(state);
  const log = join(state, "wrangler.log");
  const vars = {
    ALLOW_LOOPBACK_WEBHOOKS: "1",
    // All consumers share one isolate here, so that jobs take turns layer by layer.
    LAYERS_AT_ONCE: "4",
    ...options.vars,
  };
  const child = node(state, [
    ...[WRANGLER, "dev", ...(entry ? [entry] : [])],
    ...["--ip", HOST, "--port", String(at), "--inspector-port", "0", "--persist-to", state],
    ...["--log-level", "warn", "--show-interactive-dev-session", "false"],
    ...Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
  ]);
  const sink = createWriteStream(log);
  child.stdout?.pipe(sink, { end: false });
  child.stderr?.pipe(sink, { end: false });
  const ended = new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("exit", () => resolve());
  });
  const stop = () => end(child, ended);
  const kill = async () => {
    signalGroup(child, "SIGKILL");
    await ended;
  };
  const url = `http://${HOST}:${at}`;
  try {
    await ready(url, ended);
    // Jobs that the end of an earlier server has interrupted go on.
    await resume(url);
  } catch {
    await stop();
    throw new FailedError("server", `the local runtime did not start; the end of ${log}: ${await tail(log)}`);
  }
  const cron = setInterval(() => void runScheduled(url), CRON_EVERY_MS);
  void ended.then(() => clearInterval(cron));
  return { url, key, log, ended, stop, kill };
}

/** Applies the migrations and stores the key's hash, unless this state folder has both. */
async function prepare(state: string): Promise<string> {
  const kept = await preparedKey(state);
  if (kept) return kept;
  await run(state, [scriptFile("prepare-state"), state]);
  const key = await preparedKey(state);
  if (!key) throw new FailedError("server", `${state} could not be prepared`);
  return key;
}

/** Node, with what wrangler reads of the environment. */
function node(state: string, args: string[]): ChildProcess {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    // A group of its own: wrangler starts children, and ending the group ends them all.
    detached: process.platform !== "win32",
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: "false",
      MINIFLARE_WORKERD_V8_FLAGS: process.env.MINIFLARE_WORKERD_V8_FLAGS ?? V8_FLAGS,
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      // Servers of other state folders must not find this one, nor its logs land in the user's home.
      WRANGLER_REGISTRY_PATH: join(state, "registry"),
      WRANGLER_LOG_PATH: join(state, "logs"),
      CI: "1",
      NO_COLOR: "1",
    },
  });
  // Ends with this process, also where that ends by an error that nobody catches.
  const abandon = () => signalGroup(child, "SIGKILL");
  process.once("exit", abandon);
  child.once("exit", () => process.removeListener("exit", abandon));
  return child;
}

/** Runs a script to its end. */
async function run(state: string, args: string[]): Promise<void> {
  const child = node(state, args);
  let output = "";
  const note = (chunk: unknown) => {
    output = (output + String(chunk)).slice(-4000);
  };
  child.stdout?.on("data", note);
  child.stderr?.on("data", note);
  const code = await new Promise<number | null>((resolve) => {
    child.once("error", () => resolve(null));
    child.once("close", resolve);
  });
  if (code !== 0) throw new FailedError("server", `the state folder could not be prepared: ${output.trim()}`);
}

/** Ends the process group: politely, and after a while by force. */
async function end(child: ChildProcess, ended: Promise<void>): Promise<void> {
  signalGroup(child, "SIGTERM");
  const force = setTimeout(() => signalGroup(child, "SIGKILL"), ENDS_WITHIN_MS);
  await ended;
  clearTimeout(force);
  // What outlives the leader of the group.
  signalGroup(child, "SIGKILL");
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(process.platform === "win32" ? child.pid : -child.pid, signal);
  } catch (error) {
    const gone = error instanceof Error && "code" in error && error.code === "ESRCH";
    if (!gone) throw error;
  }
}

async function ready(url: string, ended: Promise<void>): Promise<void> {
  let over = false;
  void ended.then(() => {
    over = true;
  });
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!over && Date.now() < deadline) {
    const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(READY_ATTEMPT_MS) }).catch(
      () => null,
    );
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("not ready");
}

/** The local runtime runs no cron triggers by itself; webhooks that are due again and expired rows need them. */
async function runScheduled(url: string, cron = "* * * * *"): Promise<boolean> {
  const answer = await fetch(`${url}/cdn-cgi/local/scheduled?cron=${encodeURIComponent(cron)}`, {
    signal: AbortSignal.timeout(CRON_EVERY_MS),
  }).catch(() => null);
  await answer?.body?.cancel();
  return answer?.ok ?? false;
}

/** Until it has succeeded once: nothing else goes on with interrupted jobs. */
async function resume(url: string): Promise<void> {
  for (let attempt = 1; attempt <= RESUME_ATTEMPTS; attempt++) {
    if (await runScheduled(url, "@reboot")) return;
  }
  throw new Error("interrupted jobs could not be resumed");
}

/** @throws FailedError when the port is taken. */
async function freePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", () => reject(new FailedError("port", `port ${port} is taken; choose another one`)));
    probe.listen(port, HOST, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address ? address.port : port));
    });
  });
}

async function tail(log: string): Promise<string> {
  const text = await readFile(log, "utf8").catch(() => "");
  return text.trim().slice(-2000) || "(empty)";
}
