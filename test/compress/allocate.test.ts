import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { candidatesOf } from "../../src/compress/allocate/candidates.ts";
import { chosenCandidate, decide, type LayerChoices } from "../../src/compress/allocate/decide.ts";
import { exactChoice } from "../../src/compress/allocate/exact.ts";
import { matchesGlob } from "../../src/compress/allocate/glob.ts";
import { policyOf } from "../../src/compress/allocate/policy.ts";
import {
  type Measurement,
  searchStrength,
  TargetUnreachableError,
} from "../../src/compress/allocate/search.ts";
import { limitsOf, objectiveOf } from "../../src/compress/allocate/target.ts";
import { compressLayer } from "../../src/compress/compress-layer.ts";
import { UnknownLayerError, UnsupportedRecipeError } from "../../src/compress/errors.ts";
import type { LayerFacts } from "../../src/compress/layer-facts.ts";
import type { Candidate } from "../../src/compress/treatment.ts";
import { DataType } from "../../src/onnx/data-type.ts";
import { floats } from "./tiny.ts";

const candidate = fc.record({
  bytes: fc.integer({ min: 1, max: 999 }),
  error: fc.double({ min: 0, max: 1, noNaN: true }),
});

const choice = fc.array(candidate, { maxLength: 6 }).map((list): Omit<LayerChoices, "layer"> => {
  const one = (bytes: number, error: number, zeros: number): Candidate => ({
    treatment: zeros === 0 ? { method: "none" } : { method: "sparsity", pattern: "unstructured", zeros },
    bytes,
    macs: null,
    time: null,
    error,
  });
  return { candidates: [one(1000, 0, 0), ...list.map((c, i) => one(c.bytes, c.error, i + 1))] };
});

const model = fc
  .array(choice, { minLength: 1, maxLength: 4 })
  .map((list): LayerChoices[] => list.map((one, i) => ({ ...one, layer: `l${i}` })));

const bytesOnly = { bytes: 1, macs: 0, time: 0 };

function sums(choices: readonly LayerChoices[], strength: number): { bytes: number; error: number } {
  const chosen = decide(choices, bytesOnly, strength).map((d, i) => chosenCandidate(choices[i]!, d));
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
      { treatment: { method: "none" }, bytes: 100, macs: null, time: null, error: 0 },
      {
        treatment: { method: "sparsity", pattern: "unstructured", zeros: 9 },
        bytes: 50,
        macs: null,
        time: null,
        error: 0.1,
      },
    ];
    const choices = [
      { layer: "a", candidates, influence: 3 },
      { layer: "b", candidates, influence: 0.2 },
    ];
    const decisions = decide(choices, bytesOnly, 0.9);
    expect(decisions.map((d) => d.treatment.method)).toEqual(["none", "sparsity"]);
    expect(decisions[0]!.reason).toMatch(/fidelity/);
  });
});

function convolution(name: string, seed: number): { facts: LayerFacts; values: Float32Array } {
  const dims = [32, 32, 3, 3];
  const facts: LayerFacts = {
    name,
    op: "Conv",
    dims,
    dataType: DataType.FLOAT,
    bytes: 32 * 32 * 9 * 4,
    macs: 32 * 32 * 9 * 784,
    inputAxis: 1,
    fixed: null,
    sharing: {
      reason: null,
      work: { inputs: 32, outputs: 32, groups: 1, kernel: 9, positions: 784 },
      known: true,
      unitStrides: true,
    },
  };
  return { facts, values: floats(dims, seed) };
}

describe("candidates", () => {
  const { facts, values } = convolution("c", 1);
  const weight = { dataType: DataType.FLOAT, dims: facts.dims, values };
  const candidates = candidatesOf(facts, weight, { sparsity: true, kernelSharing: true });

  test("the layer as it is comes first; each other one is smaller and not slower", () => {
    expect(candidates[0]).toMatchObject({ treatment: { method: "none" }, error: 0, bytes: facts.bytes });
    expect(candidates.length).toBeGreaterThan(10);
    for (const c of candidates.slice(1)) {
      expect(c.bytes).toBeLessThan(facts.bytes);
      expect(c.time!).toBeLessThanOrEqual(candidates[0]!.time!);
    }
    const methods = new Set(candidates.map((c) => c.treatment.method));
    expect(methods).toEqual(new Set(["none", "sparsity", "kernel_sharing"]));
  });

  test("error is what compressing gives to 1e-6, bytes to 3% and a node's 300, MACs exactly", () => {
    for (const c of candidates) {
      const { stats } = compressLayer(facts, weight, { layer: "c", treatment: c.treatment, reason: null });
      expect(Math.abs(stats.weightError - c.error)).toBeLessThan(1e-6);
      expect(c.bytes - stats.bytes.compressed).toBeGreaterThan(-0.03 * c.bytes);
      expect(c.bytes - stats.bytes.compressed).toBeLessThan(0.03 * c.bytes + 300);
      expect(stats.macs.compressed).toBe(c.macs);
    }
  });

  test("nothing is offered for a weight that is fixed, tiny, all zero or not finite", () => {
    const offered = { sparsity: true, kernelSharing: true };
    const count = (f: LayerFacts, v: Float32Array) =>
      candidatesOf(f, { ...weight, values: v }, offered).length;
    expect(count({ ...facts, fixed: "an output" }, values)).toBe(1);
    expect(count(facts, values.slice(0, 63))).toBe(1);
    expect(count(facts, new Float32Array(values.length))).toBe(1);
    expect(
      count(
        facts,
        values.map((w, i) => (i === 5 ? Number.NaN : w)),
      ),
    ).toBe(1);
  });
});

describe("the recipe", () => {
  const names = ["conv1", "block/conv2", "fc"];

  test("{} searches with both methods on every layer", () => {
    const policy = policyOf({}, names);
    expect(policy.mode).toBe("search");
    for (const layer of policy.layers.values()) {
      expect(layer).toEqual({ skip: false, sparsity: { use: "auto" }, sharing: { use: "auto" } });
    }
  });

  test("a ratio is used exactly, and methods without figures are left out", () => {
    const policy = policyOf({ sparsity: { ratio: 0.8 } }, names);
    expect(policy.mode).toBe("explicit");
    expect(policy.layers.get("fc")).toEqual({
      skip: false,
      sparsity: { use: "exactly", pattern: "unstructured", ratio: 0.8, scope: "layer" },
      sharing: { use: "no" },
    });
  });

  test("a method that is listed beside one with figures is used with its default", () => {
    const policy = policyOf({ methods: ["kernel_sharing", "sparsity"], sparsity: { ratio: 0.5 } }, names);
    expect(policy.layers.get("conv1")!.sharing).toEqual({ use: "exactly", bases: "auto", energy: 0.95 });
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
    expect(policy.layers.get("fc")).toMatchObject({ sparsity: { use: "no" }, sharing: { use: "no" } });
  });

  test("what this version does not have is refused with its place and what there is", () => {
    const cases = [
      [{ methods: ["sparsity", "low_rank"] }, "/methods/1"],
      [{ methods: ["channel_pruning"] }, "/methods/0"],
      [{ quantization: { weights: "int8" } }, "/quantization"],
      [{ tune: { steps: 5 } }, "/tune"],
      [{ sparsity: { pattern: "block" } }, "/sparsity/pattern"],
      [{ sparsity: { solver: "obs" } }, "/sparsity/solver"],
      [{ sparsity: { regularizer: "l1" } }, "/sparsity/regularizer"],
      [{ sparsity: { ratio: 0.7, pattern: "2:4" } }, "/sparsity/ratio"],
      [{ kernel_sharing: { share: "stage" } }, "/kernel_sharing/share"],
      [{ layers: { "a/b": { low_rank: { rank: 3 } } } }, "/layers/a~1b/low_rank"],
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

describe("explicit choices", () => {
  const { facts, values } = convolution("c", 1);
  const weight = { dataType: DataType.FLOAT, dims: facts.dims, values };
  const choose = (recipe: Parameters<typeof policyOf>[0], f = facts) =>
    exactChoice(f, weight, policyOf(recipe, ["c"]).layers.get("c")!);

  test("a ratio sets exactly that share of zeros, even where the file does not shrink", () => {
    const { candidate: chosen } = choose({ sparsity: { ratio: 0.1 } });
    expect(chosen!.treatment).toEqual({ method: "sparsity", pattern: "unstructured", zeros: 922 });
    expect(chosen!.bytes).toBe(facts.bytes);
  });

  test("bases and a ratio together: shared kernels with that share of zero coefficients", () => {
    const { candidate: chosen } = choose({ kernel_sharing: { bases: 3 }, sparsity: { ratio: 0.5 } });
    expect(chosen!.treatment).toMatchObject({
      method: "kernel_sharing",
      bases: 3,
      sparsity: { zeros: 1536 },
    });
  });

  test("as many basis kernels as the kernel has weights would be larger: the layer stays, with the reason", () => {
    const { candidate: chosen, reason } = choose({ kernel_sharing: { bases: 64 } });
    expect(chosen).toBeNull();
    expect(reason).toBe("9 basis kernels would make it larger");
  });

  test("what cannot be shared stays with its reason, and still gets its zeros", () => {
    const plain = { ...facts, sharing: { reason: "its kernel is 1×1" } };
    expect(choose({ kernel_sharing: { bases: 3 } }, plain)).toEqual({
      candidate: null,
      reason: "its kernel is 1×1",
    });
    const both = choose({ kernel_sharing: { bases: 3 }, sparsity: { pattern: "2:4" } }, plain);
    expect(both.candidate!.treatment).toEqual({ method: "sparsity", pattern: "2:4" });
  });
});

describe("searchStrength", () => {
  /** Bytes fall from 1000 to 200 with strength, R² from 1 to 0.6. */
  const measured: number[] = [];
  const measure = async (strength: number): Promise<Measurement> => {
    measured.push(strength);
    return {
      bytes: 1000 - 800 * strength,
      macs: 500 - 100 * strength,
      latencyRatio: 1,
      minR2: 1 - 0.4 * strength ** 2,
      top1: 1 - 0.1 * strength,
    };
  };

  test("the guard alone: the greatest strength that keeps it, to 1/256", async () => {
    const { strength, measurement } = await searchStrength({ measure, limits: { minR2: 0.99 } });
    expect(measurement.minR2!).toBeGreaterThanOrEqual(0.99);
    expect(Math.abs(strength - Math.sqrt(0.01 / 0.4))).toBeLessThan(1 / 256);
  });

  test("top-1 agreement is guarded too", async () => {
    const { measurement } = await searchStrength({ measure, limits: { minR2: 0.5, minTop1: 0.99 } });
    expect(measurement.top1!).toBeGreaterThanOrEqual(0.99);
  });

  test("a size: the least strength that keeps it, measured in size only", async () => {
    const wants: string[] = [];
    const { strength } = await searchStrength({
      measure: async (s, wanted) => {
        wants.push(...wanted);
        return measure(s);
      },
      limits: { maxBytes: 600 },
    });
    expect(strength).toBeGreaterThanOrEqual(0.5);
    expect(strength).toBeLessThan(0.5 + 1 / 256);
    expect(new Set(wants)).toEqual(new Set(["size"]));
  });

  test("a target that strength 0 already keeps costs one measurement", async () => {
    measured.length = 0;
    expect((await searchStrength({ measure, limits: { maxBytes: 1000 } })).strength).toBe(0);
    expect(measured).toEqual([0]);
  });

  test("strength 1 is found when everything holds there", async () => {
    expect((await searchStrength({ measure, limits: { minR2: 0.5 } })).strength).toBe(1);
  });

  test("unreachable: too small, too few MACs, or too much fidelity at that size; with the best that was reached", async () => {
    const cases = [
      [{ maxBytes: 199 }, 1, /200 bytes at best/],
      [{ maxMacs: 100 }, 1, /400 MACs at best/],
      [{ maxLatencyRatio: 0.5 }, 1, /latency ratio 1.000 at best/],
      [{ maxBytes: 300, minR2: 0.99 }, 0.875, /R² 0.69\d\d at this size/],
    ] as const;
    for (const [limits, strength, message] of cases) {
      const error = await searchStrength({ measure, limits }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(TargetUnreachableError);
      const { best, missed } = error as TargetUnreachableError;
      expect(missed).toMatch(message);
      expect(Math.abs(best.strength - strength)).toBeLessThan(1 / 128);
      expect(best.measurement.bytes).toBeLessThan(1000);
    }
  });

  test("a guard that even strength 0 misses is an error, not a silent failure", async () => {
    const broken = async (): Promise<Measurement> => ({
      bytes: 1,
      macs: 1,
      latencyRatio: 1,
      minR2: 0.5,
      top1: null,
    });
    await expect(searchStrength({ measure: broken, limits: { minR2: 0.99 } })).rejects.toThrow(
      TargetUnreachableError,
    );
  });
});

test("limits and objective follow the target", () => {
  const upload = { bytes: 1000, macs: 50 };
  expect(limitsOf(undefined, upload)).toMatchObject({ minR2: 0.99, minTop1: 0.99 });
  expect(limitsOf({ size_ratio: 0.5, max_bytes: 400 }, upload)).toMatchObject({ maxBytes: 400 });
  expect(limitsOf({ size_ratio: 0.5 }, upload).minR2).toBeUndefined();
  expect(limitsOf({ macs_ratio: 0.5, min_fidelity: 0.9 }, upload)).toMatchObject({ maxMacs: 25, minR2: 0.9 });
  expect(limitsOf({ min_fidelity: 0.9 }, upload).maxBytes).toBeUndefined();
  expect(objectiveOf({ macs_ratio: 0.5 })).toEqual({ bytes: 0, macs: 1, time: 0 });
});
