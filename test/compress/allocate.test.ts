import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide, type LayerChoices } from "../../src/compress/allocate/decide.ts";
import { matchesGlob } from "../../src/compress/allocate/glob.ts";
import { globalRatio, policyOf } from "../../src/compress/allocate/policy.ts";
import { limitsOf, objectiveOf } from "../../src/compress/allocate/target.ts";
import { UnknownLayerError, UnsupportedRecipeError } from "../../src/compress/errors.ts";
import { type Candidate, UNTOUCHED } from "../../src/compress/treatment.ts";

const candidate = fc.record({
  bytes: fc.integer({ min: 1, max: 999 }),
  error: fc.double({ min: 0, max: 1, noNaN: true }),
});

function zerosOf(ratio: number): Candidate["treatment"] {
  const means = { solver: "magnitude", regularizer: null, strength: null } as const;
  return { form: null, sparsity: { pattern: "unstructured", ratio, ...means }, storage: null };
}

const choice = fc.array(candidate, { maxLength: 6 }).map((list): Omit<LayerChoices, "layer"> => {
  const one = (bytes: number, error: number, zeros: number): Candidate => ({
    treatment: zeros === 0 ? UNTOUCHED : zerosOf(zeros / 10),
    bytes,
    macs: null,
    time: null,
    error,
  });
  const candidates = [one(1000, 0, 0), ...list.map((c, i) => one(c.bytes, c.error, i + 1))];
  return { candidates, influence: null, losses: null, reason: null };
});

const model = fc
  .array(choice, { minLength: 1, maxLength: 4 })
  .map((list): LayerChoices[] => list.map((one, i) => ({ ...one, layer: `l${i}` })));

const bytesOnly = { bytes: 1, macs: 0, time: 0 };

function sums(choices: readonly LayerChoices[], strength: number): { bytes: number; error: number } {
  const chosen = decide(choices, bytesOnly, strength).map((d, i) => choices[i]!.candidates[d.candidate]!);
  return {
    bytes: chosen.reduce((sum, c) => sum + c.bytes, 0),
    error: chosen.reduce((sum, c) => sum + c.error, 0),
  };
}

describe("decide", () => {
  test("more strength never gives more bytes", () => {
    fc.assert(
      fc.property(model, (choices) => {
        let before = sums(choices, 0);
        for (let step = 1; step <= 20; step++) {
          const now = sums(choices, step / 20);
          expect(now.bytes).toBeLessThanOrEqual(before.bytes);
          before = now;
        }
      }),
    );
  });

  test("no choice of candidates is smaller at less error, less 1/256 for its bins (all combinations tried)", () => {
    fc.assert(
      fc.property(model, fc.double({ min: 0, max: 1, noNaN: true }), (choices, strength) => {
        const { bytes, error } = sums(choices, strength);
        let all = [{ bytes: 0, error: 0 }];
        for (const { candidates } of choices) {
          all = all.flatMap((a) =>
            candidates.map((c) => ({ bytes: a.bytes + c.bytes, error: a.error + c.error })),
          );
        }
        const fitting = all.filter((a) => a.error <= error * (1 - 1 / 256));
        expect(bytes).toBeLessThanOrEqual(Math.min(...fitting.map((a) => a.bytes)));
      }),
    );
  });

  test("strength 0 loses nothing, strength 1 takes each layer's smallest candidate", () => {
    fc.assert(
      fc.property(model, (choices) => {
        expect(sums(choices, 0).error).toBe(0);
        const least = choices.map((c) => Math.min(...c.candidates.map((one) => one.bytes)));
        expect(sums(choices, 1).bytes).toBe(least.reduce((sum, bytes) => sum + bytes, 0));
      }),
    );
  });

  test("of two equal layers the one with less influence is compressed first", () => {
    const candidates: Candidate[] = [
      { treatment: UNTOUCHED, bytes: 100, macs: null, time: null, error: 0 },
      { treatment: zerosOf(0.9), bytes: 50, macs: null, time: null, error: 0.1 },
    ];
    const choices = [
      { layer: "a", candidates, influence: 3, losses: null, reason: null },
      { layer: "b", candidates, influence: 0.2, losses: null, reason: null },
    ];
    const decisions = decide(choices, bytesOnly, 0.9);
    expect(decisions.map((d) => d.candidate)).toEqual([0, 1]);
    expect(decisions[0]!.reason).toMatch(/fidelity/);
  });
});

describe("the recipe", () => {
  const names = ["conv1", "block/conv2", "fc"];

  const auto = { use: "auto" };
  const factored = { ...auto, share: "layer" };
  const no = { use: "no" };
  const magnitude = { solver: "admm", regularizer: null, strength: null };

  test("{} searches with every method on every layer", () => {
    const policy = policyOf({}, names);
    expect(policy.mode).toBe("search");
    expect(policy.channels).toEqual(auto);
    for (const layer of policy.layers.values()) {
      expect(layer).toEqual({
        skip: false,
        sparsity: auto,
        sharing: factored,
        lowRank: factored,
        quantization: auto,
      });
    }
  });

  test("a ratio is used exactly, and methods without figures are left out", () => {
    const policy = policyOf({ sparsity: { ratio: 0.8 } }, names);
    expect(policy.mode).toBe("explicit");
    expect(policy.channels).toEqual(no);
    expect(policy.layers.get("fc")).toEqual({
      skip: false,
      sparsity: { use: "exactly", pattern: "unstructured", ratio: 0.8, scope: "layer", ...magnitude },
      sharing: no,
      lowRank: no,
      quantization: no,
    });
  });

  test("a method that is listed beside one with figures is used with its default", () => {
    const policy = policyOf({ methods: ["kernel_sharing", "sparsity"], sparsity: { ratio: 0.5 } }, names);
    expect(policy.layers.get("conv1")!.sharing).toEqual({
      use: "exactly",
      bases: "auto",
      energy: 0.95,
      share: "layer",
    });
  });

  test("with a target a figure is an offer to the search", () => {
    const policy = policyOf({ target: { size_ratio: 0.5 }, sparsity: { ratio: 0.8 } }, names);
    expect(policy.mode).toBe("search");
    expect(policy.layers.get("fc")!.sparsity).toMatchObject({ use: "exactly", ratio: 0.8 });
  });

  test("overrides by glob and by name: names win, whatever the order", () => {
    const policy = policyOf(
      {
        sparsity: { ratio: 0.8 },
        layers: {
          fc: { sparsity: { ratio: 0.9 } },
          "*conv*": { skip: true },
          "*": { sparsity: { ratio: 0.7 } },
        },
      },
      names,
    );
    expect(policy.layers.get("fc")!.sparsity).toMatchObject({ ratio: 0.9 });
    expect(policy.layers.get("conv1")).toMatchObject({ skip: true, sparsity: { ratio: 0.7 } });
    expect(policy.layers.get("block/conv2")!.skip).toBe(true);
  });

  test("no methods at all is explicit and does nothing", () => {
    const policy = policyOf({ methods: [] }, names);
    expect(policy.mode).toBe("explicit");
    expect(policy.layers.get("fc")).toMatchObject({ sparsity: no, sharing: no, quantization: no });
  });

  test("weight types, ranks, energies and strengths are figures", () => {
    const of = (recipe: Parameters<typeof policyOf>[0]) => policyOf(recipe, names);
    const int4 = of({ quantization: { weights: "int4", group: 64, storage: "folded" } });
    expect(int4.mode).toBe("explicit");
    expect(int4.layers.get("fc")!.quantization).toEqual({
      use: "exactly",
      weights: "int4",
      group: 64,
      storage: "folded",
    });
    expect(of({ low_rank: { rank: 8 } }).layers.get("fc")!.lowRank).toEqual({
      use: "exactly",
      rank: 8,
      share: "layer",
    });
    expect(of({ low_rank: { energy: 0.9 } }).layers.get("fc")!.lowRank).toMatchObject({ energy: 0.9 });
    const hoyer = of({ sparsity: { regularizer: "hoyer_square", strength: 0.1 } });
    expect(hoyer.layers.get("fc")!.sparsity).toMatchObject({
      use: "exactly",
      ratio: null,
      solver: "proximal",
      regularizer: "hoyer_square",
    });
  });

  test("channels go by pattern and ratio, or by their method beside one with figures", () => {
    const of = (recipe: Parameters<typeof policyOf>[0]) => policyOf(recipe, names).channels;
    expect(of({ sparsity: { pattern: "channel", ratio: 0.3 } })).toEqual({ use: "exactly", ratio: 0.3 });
    expect(of({ methods: ["channel_pruning", "quantization"], quantization: { weights: "int8" } })).toEqual({
      use: "exactly",
      ratio: 0.25,
    });
    expect(of({ methods: ["quantization"] })).toEqual(no);
  });

  test("a ratio over the whole model is shared by the layers that have it", () => {
    const { layers } = policyOf(
      { sparsity: { ratio: 0.8, scope: "global" }, layers: { fc: { sparsity: { scope: "layer" } } } },
      names,
    );
    expect(globalRatio(layers)).toEqual({ ratio: 0.8, layers: ["conv1", "block/conv2"] });
    expect(globalRatio(policyOf({}, names).layers)).toBeNull();
  });

  test("what contradicts itself or this version does not have is refused with its place and what there is", () => {
    const cases = [
      [{ tune: { steps: 5 } }, "/tune"],
      [{ sparsity: { ratio: 0.7, pattern: "2:4" } }, "/sparsity/ratio"],
      [{ sparsity: { solver: "obs", regularizer: "l1" } }, "/sparsity/regularizer"],
      [{ layers: { "a/b": { sparsity: { pattern: "channel" } } } }, "/layers/a~1b/sparsity/pattern"],
    ] as const;
    for (const [recipe, pointer] of cases) {
      const attempt = () => policyOf(structuredClone(recipe) as Parameters<typeof policyOf>[0], names);
      expect(attempt).toThrow(UnsupportedRecipeError);
      try {
        attempt();
      } catch (error) {
        expect((error as UnsupportedRecipeError).pointer).toBe(pointer);
        expect((error as Error).message).toMatch(/unsupported in this version; supported: /);
      }
    }
  });

  test("an override that matches no layer is refused", () => {
    expect(() => policyOf({ layers: { "nope*": { skip: true } } }, names)).toThrow(UnknownLayerError);
  });

  test("globs match as their regular expressions do", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "/"), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?", "/"), maxLength: 8 });
    fc.assert(
      fc.property(pattern, text, (glob, name) => {
        const regex = new RegExp(`^${glob.replaceAll("*", ".*").replaceAll("?", ".")}$`);
        expect(matchesGlob(glob, name)).toBe(regex.test(name));
      }),
      { numRuns: 500 },
    );
  });
});

test("limits and objective follow the target", () => {
  const upload = { bytes: 1000, macs: 50 };
  // Half of what may be lost is kept in reserve for inputs that the search has not seen, where nothing else is limited.
  const guard = limitsOf(undefined, upload);
  expect(guard.minTop1).toBe(0.99);
  expect(Math.abs(guard.minR2! - 0.995)).toBeLessThan(1e-12);
  expect(limitsOf({ size_ratio: 0.5, max_bytes: 400 }, upload)).toMatchObject({ maxBytes: 400 });
  expect(limitsOf({ size_ratio: 0.5 }, upload).minR2).toBeUndefined();
  expect(limitsOf({ macs_ratio: 0.5, min_fidelity: 0.9 }, upload)).toMatchObject({
    maxMacs: 25,
    minR2: 0.9,
  });
  expect(Math.abs(limitsOf({ min_fidelity: 0.9 }, upload).minR2! - 0.95)).toBeLessThan(1e-12);
  expect(limitsOf({ min_fidelity: 0.9 }, upload).maxBytes).toBeUndefined();
  expect(objectiveOf({ macs_ratio: 0.5 })).toEqual({ bytes: 0, macs: 1, time: 0 });
});
