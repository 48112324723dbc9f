import fc from "fast-check";
import { expect, test } from "vitest";
import { walkGraphs } from "../../src/onnx/edit.ts";
import { ModelError } from "../../src/onnx/errors.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readTensor } from "../../src/onnx/tensor.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import {
  badModels,
  bytes,
  fixed32,
  floats,
  graph,
  int,
  int64s,
  message,
  model,
  node,
  sparse,
  tensor,
  text,
} from "./bytes.ts";
import { check, withoutOrigins } from "./check.ts";

/** A small model with something of everything: attributes of many types, a subgraph, sparse and typed tensors. */
const branch = graph({ nodes: [node("Relu", ["x"], ["t"])], inputs: [], outputs: ["t"] });
const rich = model({
  inputs: ["x", "c"],
  outputs: ["y"],
  nodes: [
    node("Add", ["x", "w"], ["h"], bytes(text(1, "a"), fixed32(2, 1), int(20, 1))),
    node("Mul", ["h", "s"], ["m"], bytes(text(1, "b"), message(8, bytes([1, 2, 3])), int(20, 7))),
    node(
      "If",
      ["c"],
      ["y"],
      bytes(text(1, "then_branch"), message(6, branch), int(20, 5)),
      bytes(text(1, "else_branch"), message(6, branch), int(20, 5)),
    ),
    node(
      "Constant",
      [],
      ["k"],
      bytes(text(1, "value"), message(5, tensor("", [2], 10, message(5, bytes([1, 2])))), int(20, 4)),
    ),
  ],
  initializers: [tensor("w", [2]), tensor("n", [2], 8, text(6, "a"), text(6, "b"))],
  sparseInitializers: [
    sparse(tensor("s", [1], 1, message(9, floats(3))), tensor("", [1], 7, message(9, int64s(1))), [2]),
  ],
});

const at = fc.nat({ max: 4000 });
const byte = fc.integer({ min: 0, max: 255 });
const mutation = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), at, byte }),
  fc.record({ kind: fc.constant("insert" as const), at, byte }),
  fc.record({ kind: fc.constant("delete" as const), at, byte: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant("truncate" as const), at, byte }),
  fc.record({ kind: fc.constant("duplicate" as const), at, byte: fc.integer({ min: 1, max: 80 }) }),
);
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutated(file: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
  let out = [...file];
  for (const { kind, at: where, byte: value } of mutations) {
    const i = where % (out.length + 1);
    if (kind === "flip") out[i] = value;
    else if (kind === "insert") out.splice(i, 0, value);
    else if (kind === "delete") out.splice(i, value);
    else if (kind === "truncate") out = out.slice(0, i);
    else out.splice(i, 0, ...out.slice(i, i + value));
  }
  return Uint8Array.from(out);
}

/**
 * Reads every tensor and writes the model anew: nothing but a ModelError may come of a damaged file, no RangeError of a
 * read past the end or of an allocation either.
 */
async function useAll(read: Model): Promise<void> {
  for (const { graph: one } of walkGraphs(read.graph)) {
    for (const initializer of one.initializers) await readTensor(initializer);
  }
  await check(await modelBytes(withoutOrigins(read)));
}

async function expectModelOrError(file: Uint8Array): Promise<"model" | "error"> {
  try {
    await useAll(await check(file));
    return "model";
  } catch (error) {
    if (error instanceof ModelError) return "error";
    throw error;
  }
}

test("the rich model itself is accepted", async () => {
  expect(await expectModelOrError(rich)).toBe("model");
});

test("4000 damaged copies of a model give a model or a ModelError, and both occur", async () => {
  const seen = { model: 0, error: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 2 }), async (mutations) => {
      seen[await expectModelOrError(mutated(rich, mutations))]++;
    }),
    { numRuns: 4000, seed: 1 },
  );
  expect(seen.model).toBeGreaterThan(50);
  expect(seen.error).toBeGreaterThan(1000);
});

test("damaged archives give a model or a ModelError", async () => {
  const archives = Object.entries(badModels).filter(([code]) =>
    /archive|external_data_(invalid|out)/.test(code),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...archives.map(([, file]) => file)),
      fc.array(mutation, { minLength: 1, maxLength: 3 }),
      async (file, mutations) => {
        await expectModelOrError(mutated(file, mutations));
      },
    ),
    { numRuns: 2000, seed: 2 },
  );
});

test("random bytes give a ModelError", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (file) => {
      expect(await expectModelOrError(file)).toBe("error");
    }),
    { numRuns: 2000, seed: 3 },
  );
});
