import { evaluateNode } from "../../../onnx/constant/evaluate.ts";
import { tensorAttribute } from "../../../onnx/edit.ts";
import { compactTensor } from "../derived.ts";
import { isStandard, NEWEST_OPSET, type Pass } from "../pass.ts";

/** Constant nodes become initializers: the same tensor under the node's name for it, without the node. */
export const constantNodes: Pass = {
  name: "constant-nodes",
  exact: true,
  opsets: [7, NEWEST_OPSET],
  operators: ["Constant"],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      if (!isStandard(node, "Constant")) continue;
      const [output] = node.outputs;
      // A subgraph must make its outputs by a node: runtimes take no initializer there.
      if (!output || (scope.parent && scope.isOutput(output))) continue;
      const tensor = tensorAttribute(node, "value");
      if (tensor) scope.addInitializer({ ...tensor, name: output, docString: undefined });
      else {
        const values = evaluateNode(node, [], rewriting.opset);
        if (!values?.[0]) continue;
        scope.addInitializer(compactTensor(output, values[0]));
      }
      scope.remove(index);
      changes++;
    }
    return changes;
  },
};
