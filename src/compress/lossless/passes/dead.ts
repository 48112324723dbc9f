import { isRandom } from "../../../onnx/random.ts";
import { inStandardDomain, isStandard, NEWEST_OPSET, type Pass } from "../pass.ts";

/**
 * Nodes that no output depends on. Nodes of other domains stay, because nobody here knows what they do, and random
 * ones too, because taking one out changes what the next one draws.
 */
export const deadNodes: Pass = {
  name: "dead-nodes",
  exact: true,
  opsets: [7, NEWEST_OPSET],
  async run(scope) {
    let changes = 0;
    for (const [index, node] of [...scope.nodes()].reverse()) {
      if (!inStandardDomain(node) || isRandom(node)) continue;
      if (node.outputs.some((output) => output && scope.isUsed(output))) continue;
      scope.remove(index);
      changes++;
    }
    return changes;
  },
};

/** Initializers that nothing reads. One that is a graph input too stays: it is the input's default. */
export const unusedInitializers: Pass = {
  name: "unused-initializers",
  exact: true,
  opsets: [1, NEWEST_OPSET],
  async run(scope) {
    const names = [...scope.initializers(), ...scope.sparseInitializers()].map(([name]) => name);
    const unused = names.filter((name) => !scope.isUsed(name) && !scope.isInput(name));
    for (const name of unused) scope.removeInitializer(name);
    return unused.length;
  },
};

/** Operators whose outputs past the first may all be left out. */
const OPTIONAL_OUTPUTS = ["Dropout", "MaxPool", "LSTM", "GRU", "RNN", "LayerNormalization"];

/** Optional outputs that nobody reads, and optional inputs at the end that are left out anyway. */
export const optionalEnds: Pass = {
  name: "optional-ends",
  exact: true,
  opsets: [7, NEWEST_OPSET],
  async run(scope) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      if (!inStandardDomain(node)) continue;
      const inputs = withoutEmptyEnd(node.inputs);
      const outputs = isStandard(node, ...OPTIONAL_OUTPUTS)
        ? withoutEmptyEnd(node.outputs.map((name, i) => (i === 0 || scope.isUsed(name) ? name : "")))
        : node.outputs;
      const same =
        inputs.length === node.inputs.length && outputs.every((name, i) => name === node.outputs[i]);
      if (same && outputs.length === node.outputs.length) continue;
      scope.replace(index, { ...node, inputs, outputs });
      changes++;
    }
    return changes;
  },
};

function withoutEmptyEnd(names: readonly string[]): string[] {
  return names.slice(0, names.findLastIndex((name) => name !== "") + 1);
}
