import { withTensorsAtHand } from "../../../onnx/constant/at-hand.ts";
import { evaluateNode } from "../../../onnx/constant/evaluate.ts";
import { DataType } from "../../../onnx/data-type.ts";
import type { Node, Tensor } from "../../../onnx/model.ts";
import { isRandom } from "../../../onnx/random.ts";
import type { TensorValue } from "../../../onnx/tensor-value.ts";
import { compactTensor, computedTensor } from "../derived.ts";
import { NEWEST_OPSET, type Pass, type Rewriting, staticDims } from "../pass.ts";
import type { Scope } from "../scope.ts";
import { initializerBytes, nodeBytes } from "../size.ts";

/**
 * Nodes whose inputs are all constant are computed. A result takes the place of its node only where the file does
 * not grow: what it adds must not be more than what goes with it, its node and everything that only this node
 * needed. A ConstantOfShape, Expand or Tile of many elements therefore stays a node.
 */
export const foldConstants: Pass = {
  name: "fold-constants",
  opsets: [7, NEWEST_OPSET],
  async run(scope, rewriting) {
    const region = await constantRegion(scope, rewriting);
    keepWhatGrows(scope, region, rewriting);
    let changes = 0;
    for (const [index, outputs] of region) {
      for (const tensor of outputs) {
        if (isFrontier(scope, region, tensor.name)) scope.addInitializer(tensor);
      }
      changes++;
      scope.remove(index);
    }
    return changes;
  },
};

/** Evaluated nodes, with their outputs as tensors. */
type Region = Map<number, Tensor[]>;

/** Results held in memory at once; what is left is folded in the next round. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024;

function heldBytes({ data }: Tensor): number {
  return "bytes" in data && data.bytes instanceof Uint8Array ? data.bytes.length : 0;
}

async function constantRegion(scope: Scope, rewriting: Rewriting): Promise<Region> {
  const region: Region = new Map();
  const known = new Map<string, Tensor>();
  let budget = MAX_KEPT_BYTES;
  for (const [index, node] of scope.nodes()) {
    if (isRandom(node) || node.outputs.some((name) => rewriting.declined.has(name))) continue;
    // A subgraph must make its outputs by a node: runtimes take no initializer there.
    if (scope.parent && node.outputs.some((name) => scope.isOutput(name))) continue;
    const inputs = node.inputs.map((name) => (name ? (known.get(name) ?? scope.constant(name)) : null));
    if (inputs.some((input) => input === undefined) || node.inputs.length === 0) continue;
    const outputs = await evaluated(node, inputs as (Tensor | null)[], rewriting);
    if (!outputs) continue;
    budget -= outputs.reduce((sum, tensor) => sum + heldBytes(tensor), 0);
    if (budget < 0) break;
    region.set(index, outputs);
    for (const tensor of outputs) known.set(tensor.name, tensor);
  }
  return region;
}

/** Larger constants than this are never read for folding. */
const MAX_INPUT_ELEMENTS = 1 << 24;

async function evaluated(
  node: Node,
  inputs: readonly (Tensor | null)[],
  rewriting: Rewriting,
): Promise<Tensor[] | null> {
  const ready = await withTensorsAtHand(node);
  const read = async (): Promise<(TensorValue | undefined)[] | null> => {
    const values: (TensorValue | undefined)[] = [];
    for (const input of inputs) {
      const value = input ? await rewriting.read(input, MAX_INPUT_ELEMENTS) : undefined;
      if (value === null) return null;
      values.push(value);
    }
    return values;
  };
  const values = await read();
  const results = values && evaluateNode(ready, values, rewriting.opset);
  if (!results || results.length < node.outputs.length) return null;
  return node.outputs.map((name, i) => {
    const result = results[i]!;
    // What only changes the shape (Reshape, Unsqueeze) keeps the bytes where they are.
    const source = inputs[values.findIndex((value) => value?.data === result.data)];
    if (source && source.dataType === result.dataType) {
      return { name, dataType: result.dataType, dims: result.dims, data: source.data };
    }
    return computedTensor(
      name,
      result,
      rewriting.keep,
      async () => evaluateNode(ready, (await read())!, rewriting.opset)![i]!,
    );
  });
}

/** A value of the region that something outside of it needs. */
function isFrontier(scope: Scope, region: Region, name: string): boolean {
  return scope.isOutput(name) || scope.isUsedOutside(name, region);
}

/** Takes nodes out of the region until no value that is left costs more bytes than it saves. */
function keepWhatGrows(scope: Scope, region: Region, rewriting: Rewriting): void {
  for (let again = true; again; ) {
    again = false;
    for (const [index, outputs] of [...region].reverse()) {
      const frontier = outputs.filter((tensor) => isFrontier(scope, region, tensor.name));
      if (frontier.length === 0) continue;
      const cost = frontier.reduce((sum, tensor) => sum + initializerBytes(tensor), 0);
      if (cost <= savedBytes(scope, region, index)) continue;
      region.delete(index);
      for (const tensor of outputs) rewriting.declined.add(tensor.name);
      again = true;
    }
  }
}

/** Nodes looked at to see what a fold saves. */
const MAX_CONE = 2000;

/** Bytes of the node, and of the nodes and initializers that only it needs. */
function savedBytes(scope: Scope, region: Region, index: number): number {
  const gone = new Set<number>();
  const open = [index];
  let saved = 0;
  for (let at = open.pop(); at !== undefined && gone.size < MAX_CONE; at = open.pop()) {
    gone.add(at);
    const node = scope.node(at)!;
    saved += nodeBytes(node);
    for (const name of new Set(node.inputs)) {
      if (!name || scope.isOutput(name) || scope.isUsedOutside(name, gone)) continue;
      const maker = scope.producer(name);
      const constant = scope.ownConstant(name);
      if (maker === undefined) saved += constant ? initializerBytes(constant) : 0;
      else if (
        region.has(maker) &&
        !scope.node(maker)!.outputs.some((each) => each !== name && scope.isUsed(each))
      ) {
        open.push(maker);
      }
    }
  }
  return saved;
}

/** Integers whose value shape inference knows without running anything: Shape of a static shape and what follows. */
export const foldShapes: Pass = {
  name: "fold-shapes",
  opsets: [7, NEWEST_OPSET],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      if (isRandom(node) || node.opType === "Constant" || node.outputs.length !== 1) continue;
      const [output] = node.outputs as [string];
      if (!output || (scope.parent && scope.isOutput(output))) continue;
      const value = knownValue(scope, rewriting, output);
      if (!value) continue;
      const tensor = compactTensor(output, value);
      if (initializerBytes(tensor) > nodeBytes(node)) continue;
      scope.addInitializer(tensor);
      scope.remove(index);
      changes++;
    }
    return changes;
  },
};

function knownValue(scope: Scope, rewriting: Rewriting, name: string): TensorValue | null {
  const fact = rewriting.fact(scope, name);
  const dims = staticDims(fact);
  const elements = fact?.elements;
  if (!fact || !dims || !elements?.every((element) => Number.isSafeInteger(element))) return null;
  const numbers = elements as readonly number[];
  const { dataType } = fact;
  if (dataType === DataType.INT64) return { dataType, dims, data: BigInt64Array.from(numbers, BigInt) };
  if (dataType === DataType.INT32) return { dataType, dims, data: Int32Array.from(numbers) };
  if (dataType === DataType.BOOL) return { dataType, dims, data: Uint8Array.from(numbers) };
  return null;
}
