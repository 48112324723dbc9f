import type { ConstantHolders } from "../constant-holders.ts";
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
  const maker = holders.maker(graph, name);
  if (!maker) return null;
  const { made } = maker;
  if ("kind" in made) {
    const numbers = "values" in made.tensor ? made.tensor.values : made.tensor;
    if (numbers.data.kind === "external" && !numbers.data.span) return null;
    room.elements -= elementCount(made.tensor.dims);
    if (!(room.elements >= 0)) return null;
    try {
      return "values" in made.tensor ? await readSparseTensor(made.tensor) : await readTensor(made.tensor);
    } catch (error) {
      if (error instanceof ModelError) return null;
      throw error;
    }
  }
  if (room.nodes-- <= 0) return null;
  const inputs: (TensorValue | undefined)[] = [];
  for (const input of made.inputs) {
    const value = input === "" ? undefined : await constantValue(holders, maker.graph, input, opset, room);
    if (value === null) return null;
    inputs.push(value);
  }
  const values = evaluateNode(await withTensorsAtHand(made), inputs, opset);
  return values?.[made.outputs.indexOf(name)] ?? null;
}
