import type { Plan, PlanFormat } from "../../../schemas/plan.ts";
import type { Model } from "../../onnx/model.ts";
import { chunksOf } from "../../onnx/source.ts";
import { encodeModel } from "../../onnx/write.ts";
import { planPicture } from "../picture.ts";
import { annotated } from "./annotations.ts";
import { dtensorModule } from "./dtensor.ts";
import { jaxModule } from "./jax.ts";
import { shardingOf } from "./sharding.ts";

/** A plan in one of its formats. */
export interface ExportedPlan {
  readonly mediaType: string;
  /** Of the file's name, without a dot. */
  readonly extension: string;
  readonly content: string | AsyncIterable<Uint8Array>;
}

/**
 * Says a plan in the words of another tool: as a picture, as sharding for JAX or PyTorch, or as annotations in a copy of the model.
 * @param open reads the model that was planned, for the formats that need it
 * @throws ExecutionError where the plan is not one of this model
 * @throws ModelError `external_data_missing`, for a copy of a model whose weights are not there
 */
export async function exportPlan(
  format: PlanFormat,
  plan: Plan,
  open: () => Promise<Model>,
): Promise<ExportedPlan> {
  switch (format) {
    case "json":
      return {
        mediaType: "application/json",
        extension: "json",
        content: `${JSON.stringify(plan, null, 2)}\n`,
      };
    case "svg":
      return { mediaType: "image/svg+xml", extension: "svg", content: planPicture(plan) };
    case "jax":
      return python(jaxModule(await shardingOf(plan, await open())));
    case "dtensor":
      return python(dtensorModule(await shardingOf(plan, await open())));
    case "onnx": {
      const model = await open();
      const copy = encodeModel(annotated(model, await shardingOf(plan, model)));
      return { mediaType: "application/octet-stream", extension: "onnx", content: chunksOf(copy) };
    }
  }
}

function python(content: string): ExportedPlan {
  return { mediaType: "text/x-python", extension: "py", content };
}
