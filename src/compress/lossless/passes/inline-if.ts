import { graphAttribute, nodeOf } from "../../../onnx/edit.ts";
import type { Graph, Node } from "../../../onnx/model.ts";
import { constantValue, isStandard, NEWEST_OPSET, type Pass, type Rewriting } from "../pass.ts";
import { renameValues } from "../rename.ts";

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
      const { nodes, initializers } = renamed(branch, node, rewriting);
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

/** The branch with its values named so that they meet no others, and its outputs as the If's own. */
function renamed(branch: Graph, node: Node, rewriting: Rewriting): Pick<Graph, "nodes" | "initializers"> {
  const made = new Set(branch.nodes.flatMap((inner) => inner.outputs));
  const names = new Map<string, string>();
  const copies: Node[] = [];
  branch.outputs.forEach(({ name }, i) => {
    const output = node.outputs[i];
    if (!output) return;
    if (made.has(name) && !names.has(name)) names.set(name, output);
    else copies.push(nodeOf("Identity", [names.get(name) ?? name], [output]));
  });
  for (const name of [...made, ...branch.initializers.map((tensor) => tensor.name)]) {
    if (name && !names.has(name)) names.set(name, rewriting.fresh(name));
  }
  const nodes = [...branch.nodes, ...copies].map((inner) => renameValues(inner, names));
  const initializers = branch.initializers.map((tensor) => ({ ...tensor, name: names.get(tensor.name)! }));
  return { nodes, initializers };
}
