import { graphAttribute } from "../../../onnx/edit.ts";
import { inlinedBranch } from "../../../onnx/inlined-branch.ts";
import { constantValue, isStandard, NEWEST_OPSET, type Pass } from "../pass.ts";

/** An If whose condition is constant becomes the branch that is taken. */
export const inlineIf: Pass = {
  name: "inline-if",
  opsets: [7, NEWEST_OPSET],
  operators: ["If"],
  async run(scope, rewriting) {
    let changes = 0;
    const nodeNames = new Set(Array.from(scope.nodes(), ([, node]) => node.name));
    for (const [index, node] of scope.nodes()) {
      if (!isStandard(node, "If")) continue;
      const condition = await constantValue(scope, rewriting, node.inputs[0], 1);
      if (!condition) continue;
      const branch = graphAttribute(node, condition.data[0] ? "then_branch" : "else_branch");
      if (!branch || branch.outputs.length !== node.outputs.length || branch.sparseInitializers.length)
        continue;
      const { nodes, initializers } = inlinedBranch(branch, node, (stem) => rewriting.fresh(stem));
      scope.remove(index);
      for (const tensor of initializers) scope.addInitializer(tensor);
      for (const inner of nodes) {
        const name = nodeNames.has(inner.name) && inner.name ? rewriting.fresh(inner.name) : inner.name;
        nodeNames.add(name);
        scope.insertBefore(index, name === inner.name ? inner : { ...inner, name });
      }
      changes++;
    }
    return changes;
  },
};
