import { neededOpsets } from "../compress/allocate/needed-opset.ts";
import { simplify } from "../compress/lossless/simplify.ts";
import type { Model } from "../onnx/model.ts";
import { raiseOpset } from "../onnx/raise-opset/raise-opset.ts";
import { UnraisableOpsetError } from "../onnx/raise-opset/rule.ts";
import type { Blobs, CompressionJob } from "./job.ts";
import { LayerTable } from "./layer-table.ts";
import { storeModel } from "./stored-model.ts";
import type { Workbench } from "./workbench.ts";

/** What changed nothing in the outputs. */
export type LosslessFacts = {
  readonly changes: readonly { readonly pass: string; readonly changes: number }[];
  /** Whether all that is left computes as it did before, so that no run has to show it. */
  readonly exact: boolean;
  readonly warnings: readonly string[];
};

/**
 * The passes that change nothing in the outputs, and a newer opset where the recipe names a storage that needs it; the
 * simplified model is stored for the steps that follow.
 * @throws UnsupportedRecipeError or UnknownLayerError where the recipe does not suit the model
 */
export async function simplifyUpload(
  job: CompressionJob,
  bench: Workbench,
  blobs: Blobs,
): Promise<LosslessFacts> {
  const { model, passes, exact } = await simplify(await bench.upload());
  const raised = await raisedAsNeeded(await LayerTable.of(model, job.recipe));
  await storeModel(blobs, bench.simplifiedKey, raised.model);
  const changes = passes.map(({ pass, changes }) => ({ pass, changes }));
  const isRaised = raised.model !== model;
  const raising = isRaised ? [{ pass: "raise-opset", changes: 1 }] : [];
  return { changes: [...changes, ...raising], exact: exact && !isRaised, warnings: raised.warnings };
}

/** In the opset that all that the recipe names needs, or else in one that some of it needs. */
async function raisedAsNeeded({
  model,
  opset,
  policy,
  facts,
}: LayerTable): Promise<{ model: Model; warnings: readonly string[] }> {
  const warnings: string[] = [];
  for (const needed of neededOpsets(policy, facts)) {
    if (needed <= opset) break;
    try {
      return { model: await raiseOpset(model, needed), warnings };
    } catch (error) {
      if (!(error instanceof UnraisableOpsetError)) throw error;
      warnings.push(
        `the opset stays below ${needed}, which the recipe's quantization needs: ${error.message}`,
      );
    }
  }
  return { model, warnings };
}
