import { nodeOf, withAttributes } from "../../onnx/edit.ts";
import type { Graph, Node } from "../../onnx/model.ts";
import type { ChainStep, WeightRole } from "./chain.ts";

/**
 * The graph with a chain in the place of one node. Weights are named, not added: the caller stores them, and forms of
 * several layers may name the same one.
 *
 * @param output the node's first output
 * @param weightNames the value that holds the weight of each role
 * @param fresh gives names that nothing has yet
 * @throws RangeError where there is no such node, or a weight has no name
 */
export function withChain(
  graph: Graph,
  output: string,
  steps: readonly ChainStep[],
  weightNames: { readonly [role in WeightRole]?: string },
  fresh: (stem: string) => string,
): Graph {
  const at = graph.nodes.findIndex((node) => node.outputs[0] === output);
  const node = graph.nodes[at];
  const last = steps.at(-1);
  if (!node || !last?.weight) throw new RangeError(`no node that gives "${output}", or no chain for it`);
  let data = node.inputs[1 - last.weight.input] ?? "";
  const inputsOf = ({ weight }: ChainStep): string[] => {
    if (!weight) return [data];
    const name = weightNames[weight.role];
    if (name === undefined) throw new RangeError(`no name for the ${weight.role} of "${output}"`);
    return weight.input === 0 ? [name, data] : [data, name];
  };
  const chain: Node[] = [];
  for (const step of steps.slice(0, -1)) {
    const part = step.weight?.role ?? step.op.toLowerCase();
    const value = fresh(`${output}_${part}`);
    const name = fresh(`${node.name || output}_${part}`);
    chain.push({ ...withStep(nodeOf(step.op, inputsOf(step), [value]), step), name });
    data = value;
  }
  chain.push(withStep({ ...node, inputs: [...inputsOf(last), ...node.inputs.slice(2)] }, last));
  return { ...graph, nodes: [...graph.nodes.slice(0, at), ...chain, ...graph.nodes.slice(at + 1)] };
}

function withStep(node: Node, { attributes }: ChainStep): Node {
  return withAttributes(
    node,
    Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, value ?? undefined])),
  );
}
