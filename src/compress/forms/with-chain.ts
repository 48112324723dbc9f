import { DataType } from "../../onnx/data-type.ts";
import { nodeOf, withAttributes } from "../../onnx/edit.ts";
import type { Graph, Node, Tensor } from "../../onnx/model.ts";
import { tensorOf } from "../../onnx/tensor.ts";
import type { ChainStep, StepWeight, WeightRole } from "./chain.ts";

/**
 * The graph with a chain in the place of one node. Weights are named, not added: the caller stores them, and forms of
 * several layers may name the same one. Needs opset 6 for weights that are repeated.
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
  const chain: Node[] = [];
  const constants: Tensor[] = [];
  const inputsOf = ({ weight }: ChainStep): string[] => {
    if (!weight) return [data];
    const name = weightNames[weight.role];
    if (name === undefined) throw new RangeError(`no name for the ${weight.role} of "${output}"`);
    const whole = weight.repeats === 1 ? name : repeated(weight, name);
    return weight.input === 0 ? [whole, data] : [data, whole];
  };
  const repeated = ({ dims, repeats }: StepWeight, name: string): string => {
    const times = fresh(`${name}_repeats`);
    const whole = fresh(`${name}_repeated`);
    const counts = BigInt64Array.from(dims, (_, axis) => BigInt(axis === 0 ? repeats : 1));
    constants.push(tensorOf(times, { dataType: DataType.INT64, dims: [dims.length], data: counts }));
    chain.push(nodeOf("Tile", [name, times], [whole]));
    return whole;
  };
  for (const step of steps.slice(0, -1)) {
    const part = step.weight?.role ?? step.op.toLowerCase();
    const value = fresh(`${output}_${part}`);
    const name = fresh(`${node.name || output}_${part}`);
    const inputs = inputsOf(step);
    chain.push({ ...withStep(nodeOf(step.op, inputs, [value]), step), name });
    data = value;
  }
  const inputs = [...inputsOf(last), ...node.inputs.slice(2)];
  chain.push(withStep({ ...node, inputs }, last));
  const initializers = constants.length > 0 ? [...graph.initializers, ...constants] : graph.initializers;
  return {
    ...graph,
    initializers,
    nodes: [...graph.nodes.slice(0, at), ...chain, ...graph.nodes.slice(at + 1)],
  };
}

function withStep(node: Node, { attributes }: ChainStep): Node {
  return withAttributes(
    node,
    Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, value ?? undefined])),
  );
}
