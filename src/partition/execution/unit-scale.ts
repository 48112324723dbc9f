import type { Graph } from "../../onnx/model.ts";

/** Their results lie in [0, 1] and are right to float32's rounding of 1, not of themselves. */
const PROBABILITIES: ReadonlySet<string> = new Set(["HardSigmoid", "Sigmoid", "Softmax"]);
/** What only moves or picks elements. */
const MOVING: ReadonlySet<string> = new Set(
  "Cast Concat Flatten Identity MaxPool Pad Reshape Resize Slice Split Squeeze Transpose Unsqueeze".split(
    " ",
  ),
);

/** Values of the graph that are probabilities: next to 0 they are noise, which is not to be compared with itself. */
export function onUnitScale({ nodes }: Graph): ReadonlySet<string> {
  const found = new Set<string>();
  for (const { opType, inputs, outputs } of nodes) {
    const moved = MOVING.has(opType) && found.has(inputs[0] ?? "");
    if (moved || PROBABILITIES.has(opType)) for (const name of outputs) found.add(name);
  }
  return found;
}
