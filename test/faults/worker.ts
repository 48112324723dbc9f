import type { WorkflowEvent, WorkflowStep } from "cloudflare:workers";
import { type Random, randomFrom } from "../../src/evaluate/random.ts";
import worker, { CompressionWorkflow as Workflow } from "../../src/index.ts";
import { sweep } from "../../src/jobs/sweep.ts";
import type { Bindings, CompressionParams, DeliveryMessage, LayerMessage } from "../../src/store/bindings.ts";
import { ACCOUNTS } from "../../src/store/object-keys.ts";
import { Store } from "../../src/store/store.ts";
import { faultyBindings, type Rates } from "./faulty.ts";

/** What run.ts adds to the bindings. */
interface FaultBindings extends Bindings {
  /** {@link Rates} and a seed, as JSON. */
  readonly FAULTS: string;
  /** Is told of every boundary, and may end this process instead of answering. */
  readonly WATCHER: string;
}

type Asked = Rates & { readonly seed: number };

/** One stream of chances for the whole process. */
let chances: Random | null = null;

function faulty(bindings: FaultBindings): Bindings {
  const rates: Asked = JSON.parse(bindings.FAULTS);
  chances ??= randomFrom(rates.seed);
  return faultyBindings(bindings, rates, chances);
}

async function boundary({ WATCHER }: FaultBindings, step: string, at: "begin" | "end"): Promise<void> {
  await (await fetch(`${WATCHER}/boundary`, { method: "POST", body: JSON.stringify({ step, at }) })).text();
}

/** The Worker's own Workflow on bindings that fail, which tells where each of its steps begins and ends. */
export class CompressionWorkflow extends Workflow {
  readonly #bindings: FaultBindings;

  constructor(context: ExecutionContext, bindings: FaultBindings) {
    super(context, faulty(bindings));
    this.#bindings = bindings;
  }

  override run(event: Readonly<WorkflowEvent<CompressionParams>>, step: WorkflowStep): Promise<void> {
    return super.run(event, watched(step, this.#bindings));
  }
}

function watched(step: WorkflowStep, bindings: FaultBindings): WorkflowStep {
  const run = (name: string, config: object, work: () => Promise<unknown>) =>
    step.do(name, config, async () => {
      await boundary(bindings, name, "begin");
      const result = await work();
      await boundary(bindings, name, "end");
      return result as string;
    });
  const waitForEvent: WorkflowStep["waitForEvent"] = (name, options) => step.waitForEvent(name, options);
  return { do: run, waitForEvent } as unknown as WorkflowStep;
}

export default {
  /** The API itself does not fail here: a client that is refused asks again, and that is tested elsewhere. */
  async fetch(request, bindings, context) {
    const { pathname } = new URL(request.url);
    const store = new Store(bindings);
    if (pathname === "/faults/objects") return Response.json(await store.objects.names(ACCOUNTS));
    if (pathname === "/faults/sweep") {
      await sweep(store, bindings, Date.now() + 16 * 60_000);
      return new Response();
    }
    return worker.fetch(request, bindings, context);
  },

  async queue(batch, bindings) {
    const name = `consume ${batch.queue}`;
    await boundary(bindings, name, "begin");
    await worker.queue(batch, faulty(bindings));
    await boundary(bindings, name, "end");
  },

  scheduled: (controller, bindings) => worker.scheduled(controller, faulty(bindings)),
} satisfies ExportedHandler<FaultBindings, DeliveryMessage | LayerMessage>;
