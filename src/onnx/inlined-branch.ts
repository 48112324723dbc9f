import { nodeOf } from "./edit.ts";
import type { Graph, Node } from "./model.ts";
import { renameValues } from "./rename.ts";

/**
 * The branch of an If as nodes of the graph around it: its values named so that they meet no others, its outputs as
 * the If's own. Node i is the branch's node i; after these come copies of outputs that the branch does not make itself.
 *
 * @param fresh gives a name that nothing in the model has yet
 */
export function inlinedBranch(
  branch: Graph,
  node: Node,
  fresh: (stem: string) => string,
): Pick<Graph, "nodes" | "initializers"> {
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
    if (name && !names.has(name)) names.set(name, fresh(name));
  }
  const nodes = [...branch.nodes, ...copies].map((inner) => renameValues(inner, names));
  const initializers = branch.initializers.map((tensor) => ({ ...tensor, name: names.get(tensor.name)! }));
  return { nodes, initializers };
}
