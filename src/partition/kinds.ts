import type { NetworkNode } from "./graph.ts";

/** One value for all nodes of one signature. */
export function bySignature<T>(
  nodes: readonly NetworkNode[],
  signatures: readonly string[],
  build: (node: NetworkNode, v: number) => T,
): T[] {
  return byKey(signatures, (v) => build(nodes[v] as NetworkNode, v));
}

/** One value for all places with the same key. */
export function byKey<T>(keys: readonly string[], build: (index: number) => T): T[] {
  const known = new Map<string, { readonly value: T }>();
  return keys.map((key, index) => {
    const entry = known.get(key) ?? { value: build(index) };
    known.set(key, entry);
    return entry.value;
  });
}

/** Equal keys have equal numbers. */
export function kindsOf(keys: readonly string[]): number[] {
  const numbers = new Map<string, number>();
  return keys.map((key) => {
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  });
}

/** Nodes of one signature cost the same everywhere. */
export function signatureOf(node: NetworkNode): string {
  const { forward, backward, gradient } = node.flops;
  const ways = node.ways.map((way) => (way === null ? "-" : Object.values(way).join(".")));
  return [
    ...node.units,
    node.input,
    node.output,
    node.weights,
    forward,
    backward,
    gradient,
    node.elementBytes,
    node.weightBytes,
    node.precision,
    node.semiStructured ?? false,
    +node.passesError,
    ...ways,
  ].join("|");
}
