import type { FunctionDefinition, Node } from "../model.ts";
import { canonicalDomain, ruleFor } from "../shapes/registry.ts";

/** Operators that the runtime knows and that have no shape rule here, by domain. */
const WITHOUT_RULE: Readonly<Record<string, ReadonlySet<string>>> = {
  "ai.onnx.ml": words("CategoryMapper DictVectorizer FeatureVectorizer OneHotEncoder ZipMap"),
  "ai.onnx.preview.training": words("Gradient"),
  "com.microsoft": words(
    "BeamSearch BifurcationDetector CDist ConvTransposeWithDynamicPads CropAndResize DecoderAttention " +
      "DecoderMaskedMultiHeadAttention DequantizeBFP DynamicQuantizeLSTM DynamicTimeWarping ExpandDims " +
      "FusedMatMulActivation GatherBlockQuantized GatherND GreedySearch GridSample Inverse Irfft " +
      "MatMulInteger16 MaxpoolWithMask MoE MulInteger MurmurHash3 NGramRepeatBlock NhwcMaxPool " +
      "QAttention QEmbedLayerNormalization QGemm QLinearConv QLinearReduceMean QLinearWhere QMoE QOrderedMatMul " +
      "QuantizeWithOrder Range ReduceSumInteger RemovePadding RestorePadding Sampling " +
      "SparseAttention SparseToDenseMatMul Tokenizer TorchEmbedding TransposeMatMul UnfoldTensor Unique " +
      "WhisperBeamSearch WordConvEmbedding",
  ),
};

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(" "));
}

/** How an operator is printed: its type, with its domain in front where that is not the standard one. */
export function operatorName({ domain, opType }: Pick<Node, "domain" | "opType">): string {
  const canonical = canonicalDomain(domain);
  return canonical === "" ? opType : `${canonical}.${opType}`;
}

/** True for operators of ONNX, those that onnxruntime-web adds (com.microsoft), and the model's own functions. */
export function isKnownOperator(node: Node, functions: readonly FunctionDefinition[]): boolean {
  const domain = canonicalDomain(node.domain);
  if (ruleFor(domain, node.opType) || WITHOUT_RULE[domain]?.has(node.opType)) return true;
  return functions.some(
    (definition) => definition.name === node.opType && canonicalDomain(definition.domain) === domain,
  );
}
