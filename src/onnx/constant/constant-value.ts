import type { ConstantHolders, Holder } from "../constant-holders.ts";
import { ModelError } from "../errors.ts";
import type { Graph } from "../model.ts";
import { readSparseTensor } from "../sparse.ts";
import { readTensor } from "../tensor.ts";
import { elementCount, type TensorValue } from "../tensor-value.ts";
import { withTensorsAtHand } from "./at-hand.ts";
import { evaluateNode } from "./evaluate.ts";

/** How much may be read and computed; what is used up is subtracted. */
export interface Room {
  /** Elements of stored constants. */
  elements: number;
  /** Nodes between constants and the value. */
  nodes: number;
  /** Set where a constant was larger than what was left. */
  exceeded: boolean;
}

/**
 * The numbers of a constant, through the nodes that make it of stored ones.
 *
 * @returns null where the value depends on what the model is fed, where its numbers are in a file that did not come
 *   with the model or make no sense, where a node on the way is not evaluated, and where there is no room
 */
export async function constantValue(
  holders: ConstantHolders,
  graph: Graph,
  name: string,
  opset: number,
  room: Room,
): Promise<TensorValue | null> {
  try {
    return await valueIn(holders, graph, name, opset, room);
  } catch (error) {
    if (error instanceof ModelError) return null;
    throw error;
  }
}

async function valueIn(
  holders: ConstantHolders,
  graph: Graph,
  name: string,
  opset: number,
  room: Room,
): Promise<TensorValue | null> {
  const maker = holders.maker(graph, name);
  if (!maker) return null;
  const { made } = maker;
  if ("kind" in made) return stored(made, room);
  if (room.nodes-- <= 0) return null;
  const inputs: (TensorValue | undefined)[] = [];
  for (const input of made.inputs) {
    const value = input === "" ? undefined : await valueIn(holders, maker.graph, input, opset, room);
    if (value === null) return null;
    inputs.push(value);
  }
  const values = evaluateNode(await withTensorsAtHand(made), inputs, opset);
  return values?.[made.outputs.indexOf(name)] ?? null;
}

async function stored({ tensor }: Holder, room: Room): Promise<TensorValue | null> {
  const sparse = "values" in tensor;
  const { data } = sparse ? tensor.values : tensor;
  if (data.kind === "external" && !data.span) return null;
  const count = elementCount(tensor.dims);
  if (!(count >= 0 && count <= room.elements)) {
    room.exceeded = true;
    return null;
  }
  room.elements -= count;
  return sparse ? readSparseTensor(tensor) : readTensor(tensor);
}
