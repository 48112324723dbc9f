import type { Mix } from "../../schemas/mix.ts";
import type { Plan, PlanOptions } from "../../schemas/plan.ts";
import type { Recipe } from "../../schemas/recipe.ts";
import type { Report } from "../../schemas/report.ts";
import type { ModelSummary } from "../../schemas/resources.ts";
import type { OnProgress } from "./local-host.ts";
import type { SamplesFile } from "./options.ts";

/** What the commands ask for, done in this process or by a server. */
export interface Engine {
  compress(request: CompressRequest, onProgress: OnProgress): Promise<Compressed>;
  plan(request: PlanRequest): Promise<Plan>;
  inspect(model: string): Promise<ModelSummary>;
}

export interface CompressRequest {
  /** Path of the model. */
  readonly model: string;
  readonly recipe: Recipe;
  readonly calibration: SamplesFile | null;
  readonly mix: Mix | null;
  readonly plan: PlanOptions;
  /** Path that the artifact is written to. */
  readonly output: string;
}

export interface Compressed {
  readonly artifact: { readonly path: string; readonly bytes: number; readonly sha256: string };
  readonly report: Report;
  readonly plan: Plan | null;
}

export interface PlanRequest {
  /** Path of the model, or `zoo:<name>`. */
  readonly model: string;
  readonly mix: Mix;
  readonly options: PlanOptions;
}
