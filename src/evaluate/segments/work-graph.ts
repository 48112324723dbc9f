import { DataType } from "../../onnx/data-type.ts";
import type { Model, Node } from "../../onnx/model.ts";
import { Captures } from "../../onnx/scope.ts";
import type { Shapes } from "../../onnx/shapes/shapes.ts";
import { isCarried } from "../../runtime/element-types.ts";
import { Constants, heldBytes } from "./constants.ts";
import { mayFuse } from "./fusions.ts";
import { bytesOfValue } from "./value-bytes.ts";

/** The nodes of a model that compute something of what is fed, in order, and what flows between them. */
export interface WorkGraph {
  readonly nodes: readonly WorkNode[];
  /** By name: what is fed, then what the nodes make. */
  readonly values: ReadonlyMap<string, FlowingValue>;
  readonly constants: Constants;
  readonly captures: Captures;
}

export interface WorkNode {
  readonly node: Node;
  /** Its place among all nodes of the model's graph. */
  readonly index: number;
  /** Values that it or its subgraphs read. */
  readonly reads: readonly string[];
  readonly makes: readonly string[];
  /** Constants that it needs, and all that they are computed from. */
  readonly constants: ReadonlySet<string>;
  /** Bytes of the weights inside its subgraphs. */
  readonly ownBytes: number;
}

export interface FlowingValue {
  /** Place among the nodes of the one that makes it; -1 for what is fed. */
  readonly producer: number;
  /** Places of the nodes that read it, ascending. */
  readonly consumers: readonly number[];
  /** Those of them that the runtime may compute together with its producer. */
  readonly fused: readonly number[];
  readonly bytes: number;
  /** Whether it can leave one session and enter another. */
  readonly carried: boolean;
  /** Whether it is of a type that sizes and conditions have: exact, however it is computed. */
  readonly isSize: boolean;
}

/**
 * @param model its nodes in an order in which they can run
 * @param shapes of the inputs that it is going to be run on
 */
export function workGraph({ graph }: Model, shapes: Shapes): WorkGraph {
  const captures = new Captures();
  const constants = new Constants(graph, shapes, captures);
  const nodes: WorkNode[] = [];
  const values = new Map<string, FlowingValue & { consumers: number[]; fused: number[] }>();
  const add = (name: string, producer: number) => {
    const info = shapes.of(graph, name);
    const carried = isCarried(info?.dataType);
    const isSize = info !== undefined && SIZES.has(info.dataType);
    values.set(name, { producer, consumers: [], fused: [], bytes: bytesOfValue(info), carried, isSize });
  };
  for (const { name } of graph.inputs) if (!constants.has(name)) add(name, -1);
  const inputs = {
    isConstant: (name: string) => constants.has(name),
    isScalar: (name: string) => (constants.get(name)?.bytes ?? Number.POSITIVE_INFINITY) <= SCALAR_BYTES,
  };
  for (const [index, node] of graph.nodes.entries()) {
    if (node.outputs.every((name) => name === "" || constants.has(name))) continue;
    const place = nodes.length;
    const needed = new Set<string>();
    const reads: string[] = [];
    for (const name of captures.ofNode(node)) {
      const value = values.get(name);
      if (!value) {
        constants.closure(name, needed);
        continue;
      }
      reads.push(name);
      value.consumers.push(place);
      const producer = nodes[value.producer]?.node;
      if (producer && !value.isSize && mayFuse(producer, node, inputs)) value.fused.push(place);
    }
    const makes = node.outputs.filter((name) => name !== "");
    nodes.push({ node, index, reads, makes, constants: needed, ownBytes: heldBytes(node) });
    for (const name of makes) add(name, place);
  }
  return { nodes, values, constants, captures };
}

const SIZES: ReadonlySet<number> = new Set([DataType.INT64, DataType.INT32, DataType.BOOL]);
/** Of one float64 or less. */
const SCALAR_BYTES = 8;
