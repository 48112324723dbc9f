import { describe, expect, test } from "vitest";
import { Recipe } from "../../schemas/recipe.ts";
import { policyOf } from "../../src/compress/allocate/policy.ts";
import { treatmentsFor } from "../../src/compress/allocate/treatments.ts";
import { UnsupportedRecipeError } from "../../src/compress/errors.ts";
import { factsOf, readWeight } from "../../src/compress/layer-of-model.ts";
import { LayerTreater } from "../../src/compress/layer-treater.ts";
import { methodName, type Treatment } from "../../src/compress/treatment.ts";
import { referenceKernels as kernels } from "../../src/kernels/reference/kernels.ts";
import { gather, KINDS, type Kind, kindOf, layersOf, lstm, modelWith } from "./one-layer.ts";
import { floats, int, ints } from "./tiny.ts";

const conv = kindOf("a Conv", "Conv", {
  weight: [32, 32, 3, 3],
  input: [1, 32, 28, 28],
  attributes: { pads: ints(1, 1, 1, 1) },
});
const fc = kindOf("a Gemm", "Gemm", { weight: [64, 64], input: [4, 64], attributes: { transB: int(1) } });

/** With its real bytes. */
async function treater(
  kind: Kind,
  name = kind.layer,
  values = floats(kind.weight),
  globalRatio: number | null = null,
) {
  const layer = (await layersOf(await modelWith(kind, { values }))).find((one) => one.name === name)!;
  return new LayerTreater({
    facts: factsOf(layer),
    weight: (await readWeight(layer)) ?? null,
    nonzero: null,
    bias: null,
    moments: null,
    kernels,
    opset: 21,
    globalRatio,
  });
}

function chosen(of: LayerTreater, recipe: Recipe) {
  const { name } = of.facts;
  return treatmentsFor(of, policyOf(Recipe.parse(recipe), [name]), name);
}

/** What an explicit recipe does to the layer. */
function only(of: LayerTreater, recipe: Recipe): Treatment {
  const { treatments } = chosen(of, recipe);
  expect(treatments.length).toBe(1);
  return treatments[0]!;
}

const methodsOf = (treatments: readonly Treatment[]) => new Set(treatments.map(methodName));

describe("what is tried", () => {
  test("on a Conv: every method alone and forms and zeros with integers, each different and each possible", async () => {
    const of = await treater(conv);
    const { treatments, reason } = chosen(of, {});
    expect(reason).toBeNull();
    expect(methodsOf(treatments)).toEqual(
      new Set([
        "quantization",
        "sparsity+quantization",
        "kernel_sharing+quantization",
        "low_rank+quantization",
      ]),
    );
    expect(new Set(treatments.map((one) => JSON.stringify(one))).size).toBe(treatments.length);
    const sharing = treatments.flatMap(({ form }) => (form?.kind === "kernel_sharing" ? [form] : []));
    const orders = new Set(sharing.map(({ bases, order }) => `${bases} ${order}`));
    expect(orders.size).toBe(new Set(sharing.map(({ bases }) => bases)).size);
    for (const form of sharing) {
      const others = (["basis_first", "coefficients_first"] as const).map((order) => ({ ...form, order }));
      const open = others.filter((other) => of.slows(form) || !of.slows(other));
      expect(of.timeOf(form)).toBe(Math.min(...open.map((other) => of.timeOf(other)!)));
    }
    let smaller = 0;
    for (const treatment of treatments.filter((_, i) => i % 7 === 0)) {
      const { candidate } = of.treat(treatment);
      if (candidate.bytes < of.facts.bytes) smaller += 1;
      expect(candidate.error).toBeGreaterThan(0);
    }
    expect(smaller).toBeGreaterThan(5);
  });

  test("methods that the recipe does not list are not tried", async () => {
    const of = await treater(conv);
    for (const [methods, names] of [
      [["quantization"], ["quantization"]],
      [["sparsity"], ["sparsity"]],
      [["low_rank"], ["low_rank"]],
      [["kernel_sharing"], ["kernel_sharing"]],
      [
        ["sparsity", "low_rank"],
        ["sparsity", "low_rank"],
      ],
      [["channel_pruning"], []],
      [[], []],
    ] as const) {
      expect(methodsOf(chosen(of, { methods: [...methods] }).treatments)).toEqual(new Set(names));
    }
  });

  test("forms only where the layer has them", async () => {
    const recurrent = lstm(1, 8, 16);
    const forms = async (kind: Kind, name?: string) =>
      new Set(chosen(await treater(kind, name), {}).treatments.flatMap(({ form }) => form?.kind ?? []));
    expect(await forms(recurrent, "y.W")).toEqual(new Set(["low_rank"]));
    expect(await forms(recurrent, "y.R")).toEqual(new Set());
    expect(await forms(gather("", [40, 16], 0))).toEqual(new Set());
    expect(await forms(KINDS[3]!)).toEqual(new Set(["low_rank"]));
  });

  test("nothing for a layer that is skipped, tiny, or not finite, with the reason", async () => {
    const reason = async (kind: Kind, recipe: Recipe, values?: Float32Array) => {
      const { treatments, reason } = chosen(await treater(kind, kind.layer, values), recipe);
      expect(treatments).toEqual([]);
      return reason;
    };
    expect(await reason(fc, { layers: { y: { skip: true } } })).toBe("the recipe skips it");
    const small = kindOf("", "MatMul", { weight: [7, 9], input: [1, 7] });
    expect(await reason(small, {})).toBe("its weight is tiny");
    const broken = floats(fc.weight).fill(Number.NaN, 3, 4);
    expect(await reason(fc, {}, broken)).toBe("its weight has infinities or NaN");
  });

  test("under a target a figure is one more treatment", async () => {
    const of = await treater(fc);
    const recipe: Recipe = {
      target: { size_ratio: 0.5 },
      methods: ["sparsity", "quantization"],
      sparsity: { pattern: "2:4" },
    };
    const { treatments } = chosen(of, recipe);
    expect(treatments.length).toBeGreaterThan(1);
    expect(treatments.filter(({ sparsity }) => sparsity?.pattern === "2:4").length).toBe(1);
  });
});

describe("what a recipe's figures mean", () => {
  const magnitude = { solver: "admm", regularizer: null, strength: null };

  test("sparsity: ratio, pattern, solver, regularizer and strength", async () => {
    const of = await treater(fc);
    const sparsity = (recipe: NonNullable<Recipe["sparsity"]>) => only(of, { sparsity: recipe }).sparsity;
    expect(sparsity({ ratio: 0.8 })).toEqual({ pattern: "unstructured", ratio: 0.8, ...magnitude });
    expect(sparsity({ ratio: 0 })).toEqual({ pattern: "unstructured", ratio: 0, ...magnitude });
    expect(sparsity({ pattern: "2:4" })).toEqual({ pattern: "2:4", ratio: null, ...magnitude });
    expect(sparsity({ pattern: "4:8", ratio: 0.5 })).toEqual({ pattern: "4:8", ratio: null, ...magnitude });
    expect(sparsity({ pattern: "block", ratio: 0.5 })).toEqual({
      pattern: "block",
      ratio: 0.5,
      ...magnitude,
    });
    for (const solver of ["magnitude", "wanda", "obs", "admm", "proximal"] as const) {
      expect(sparsity({ ratio: 0.5, solver })!.solver).toBe(solver);
    }
    for (const regularizer of ["l1", "l0", "hoyer_square", "group_hoyer_square", "transformed_l1"] as const) {
      const found = only(of, { sparsity: { ratio: 0.5, regularizer } });
      expect(found.sparsity).toMatchObject({ solver: "proximal", regularizer, ratio: 0.5 });
      const { stats } = of.treat(found).result;
      expect(stats.nonzero.compressed).toBe(2048);
    }
    const strong = only(of, { sparsity: { strength: 0.4 } });
    expect(strong.sparsity).toEqual({
      pattern: "unstructured",
      ratio: null,
      solver: "proximal",
      regularizer: null,
      strength: 0.4,
    });
    expect(of.treat(strong).result.stats.nonzero.compressed).toBeLessThan(4096);
  });

  test("sparsity: a global ratio is the layer's own share of it", async () => {
    const of = await treater(fc, "y", floats(fc.weight), 0.61);
    const found = only(of, { sparsity: { ratio: 0.5, scope: "global" } });
    expect(found.sparsity).toMatchObject({ ratio: 0.61 });
  });

  test("quantization: weights, group and storage", async () => {
    const of = await treater(fc);
    const storage = (recipe: NonNullable<Recipe["quantization"]>, on = of) =>
      only(on, { quantization: recipe }).storage;
    const integers = (levels: number, group: number | null, decode = "dequantize_linear") => ({
      kind: "integers",
      levels,
      group,
      decode,
    });
    expect(storage({ weights: "fp16" })).toEqual({ kind: "half" });
    expect(storage({ weights: "int8" })).toEqual(integers(255, null));
    expect(storage({ weights: "int8", group: 16 })).toEqual(integers(255, 16));
    expect(storage({ weights: "int4" })).toEqual(integers(15, 32));
    expect(storage({ weights: "int4", group: 8 })).toEqual(integers(15, 8));
    expect(storage({ weights: "int4", storage: "folded" })).toEqual(integers(15, 32, "folded"));
  });

  test("low_rank: rank, and the least rank that keeps the energy", async () => {
    const of = await treater(fc);
    expect(only(of, { low_rank: { rank: 5 } }).form).toEqual({ kind: "low_rank", rank: 5 });
    for (const energy of [0.1, 0.2]) {
      const { form } = only(of, { low_rank: { energy } });
      if (form?.kind !== "low_rank") throw new Error("no rank");
      expect(of.errorOf(form)).toBeLessThanOrEqual(1 - energy);
      expect(of.errorOf({ ...form, rank: form.rank - 1 })).toBeGreaterThan(1 - energy);
    }
  });

  test("kernel_sharing: bases, and the least number that keeps the energy, in the faster order", async () => {
    const of = await treater(conv);
    const { form } = only(of, { kernel_sharing: { bases: 3 } });
    if (form?.kind !== "kernel_sharing") throw new Error("no bases");
    expect(form.bases).toBe(3);
    const other = form.order === "basis_first" ? "coefficients_first" : "basis_first";
    expect(of.timeOf(form)).toBeLessThanOrEqual(of.timeOf({ ...form, order: other })!);
    const kept = only(of, { kernel_sharing: { bases: "auto", energy: 0.5 } }).form;
    if (kept?.kind !== "kernel_sharing") throw new Error("no bases");
    expect(of.errorOf(kept)).toBeLessThanOrEqual(0.5);
    expect(of.errorOf({ ...kept, bases: kept.bases - 1 })).toBeGreaterThan(0.5);
  });

  test("bases, a ratio and int8 together: shared kernels with zeros among their integer coefficients", async () => {
    const of = await treater(conv);
    const found = only(of, {
      kernel_sharing: { bases: 3 },
      sparsity: { ratio: 0.5 },
      quantization: { weights: "int8" },
    });
    expect(methodName(found)).toBe("kernel_sharing+sparsity+quantization");
    const { stats } = of.treat(found).result;
    // Half of 32·32·3 coefficients at least, and none of 27 numbers of the basis.
    expect(stats.nonzero.compressed).toBeLessThanOrEqual(1536 + 27);
    expect(stats.bytes.compressed).toBeLessThan(0.15 * stats.bytes.original);
  });

  test("a form that does not pay or that the layer does not have is left, with the reason; the rest is done", async () => {
    const of = await treater(conv);
    expect(chosen(of, { kernel_sharing: { bases: 64 } })).toEqual({
      treatments: [],
      reason: "that many basis kernels would make it larger",
    });
    expect(chosen(await treater(fc), { low_rank: { rank: 64 } }).reason).toBe(
      "that rank would make it larger",
    );
    const both = chosen(await treater(fc), { kernel_sharing: { bases: 3 }, sparsity: { pattern: "2:4" } });
    expect(both.reason).toBe("it is no convolution");
    expect(both.treatments.map(methodName)).toEqual(["sparsity"]);
    const table = chosen(await treater(gather("", [40, 16], 0)), { low_rank: { rank: 2 } });
    expect(table.reason).toBe("it is a table that is looked up");
    const state = chosen(await treater(lstm(1, 8, 16), "y.R"), { low_rank: { rank: 2 } });
    expect(state.reason).toMatch(/recurrent weight/);
  });

  test("an explicit ratio is used even where the file does not shrink", async () => {
    const of = await treater(fc);
    const treated = of.treat(only(of, { sparsity: { ratio: 0.1 } }));
    expect(treated.result.stats.nonzero.compressed).toBe(4096 - 410);
  });
});

describe("overrides of single layers", () => {
  const names = ["a", "b"];
  const layer = (recipe: Recipe) => policyOf(Recipe.parse(recipe), names).layers.get("a")!;

  test("refine every method, or bring one that the recipe does not list", () => {
    const recipe: Recipe = {
      methods: ["sparsity"],
      sparsity: { ratio: 0.5, solver: "obs" },
      layers: {
        a: {
          sparsity: { ratio: 0.9 },
          kernel_sharing: { bases: 2 },
          low_rank: { rank: 3 },
          quantization: { weights: "int4", group: 16 },
        },
      },
    };
    expect(layer(recipe)).toMatchObject({
      sparsity: { use: "exactly", ratio: 0.9, solver: "obs" },
      sharing: { use: "exactly", bases: 2 },
      lowRank: { use: "exactly", rank: 3 },
      quantization: { use: "exactly", weights: "int4", group: 16 },
    });
    const other = policyOf(recipe, names).layers.get("b")!;
    expect(other.sparsity).toMatchObject({ ratio: 0.5 });
    expect([other.sharing, other.lowRank, other.quantization]).toEqual([
      { use: "no" },
      { use: "no" },
      { use: "no" },
    ]);
  });

  test("a layer's own figure counts before the recipe's of the same method", () => {
    const rank = layer({ low_rank: { rank: 8 }, layers: { a: { low_rank: { energy: 0.9 } } } });
    expect(rank.lowRank).toEqual({ use: "exactly", energy: 0.9, share: "layer" });
    const bases = layer({ kernel_sharing: { bases: 3 }, layers: { a: { kernel_sharing: { energy: 0.9 } } } });
    expect(bases.sharing).toMatchObject({ bases: "auto", energy: 0.9 });
    const type = layer({
      quantization: { weights: "int4", group: 16 },
      layers: { a: { quantization: { weights: "fp16" } } },
    });
    expect(type.quantization).toEqual({ use: "exactly", weights: "fp16" });
  });

  test("a layer's own solver drops the recipe's regulariser, its own regulariser the recipe's solver", () => {
    const solver = layer({
      sparsity: { ratio: 0.5, regularizer: "l1", strength: 2 },
      layers: { a: { sparsity: { solver: "obs" } } },
    });
    expect(solver.sparsity).toMatchObject({ solver: "obs", regularizer: null, strength: null });
    const regulariser = layer({
      sparsity: { ratio: 0.5, solver: "obs" },
      layers: { a: { sparsity: { strength: 0.2 } } },
    });
    expect(regulariser.sparsity).toMatchObject({ solver: "proximal", ratio: 0.5, strength: 0.2 });
  });

  test("one layer's figure makes the recipe explicit; with a target it stays a search", () => {
    const layers = { a: { quantization: { weights: "int8" } } } as const;
    expect(policyOf({ layers }, names).mode).toBe("explicit");
    expect(policyOf({ layers, target: { max_bytes: 9 } }, names).mode).toBe("search");
    expect(policyOf({ layers: { a: { skip: true } } }, names).mode).toBe("search");
  });
});

test("parts that contradict each other are refused at their place", () => {
  const cases: readonly (readonly [Recipe, string])[] = [
    [{ sparsity: { ratio: 0.5, solver: "obs", regularizer: "l1" } }, "/sparsity/regularizer"],
    [{ sparsity: { ratio: 0.5, solver: "admm", strength: 0.1 } }, "/sparsity/strength"],
    [{ sparsity: { pattern: "block", strength: 0.1 } }, "/sparsity/strength"],
    [{ sparsity: { pattern: "channel", strength: 0.1 } }, "/sparsity/strength"],
    [{ sparsity: { pattern: "4:8", ratio: 0.6 } }, "/sparsity/ratio"],
    [{ layers: { a: { sparsity: { solver: "wanda", strength: 1 } } } }, "/layers/a/sparsity/strength"],
    [{ tune: { epochs: 1, steps: 2, loss: "distillation" } }, "/tune"],
  ];
  for (const [recipe, pointer] of cases) {
    let thrown: unknown;
    try {
      policyOf(Recipe.parse(recipe), ["a"]);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(UnsupportedRecipeError);
    expect((thrown as UnsupportedRecipeError).pointer).toBe(pointer);
  }
});

test("channels: by pattern and ratio where a method for it is listed, and left to the search without a ratio", () => {
  const channels = (recipe: Recipe) => policyOf(Recipe.parse(recipe), ["a"]).channels;
  const pattern = { pattern: "channel", ratio: 0.3 } as const;
  expect(channels({ sparsity: pattern })).toEqual({ use: "exactly", ratio: 0.3 });
  expect(channels({ sparsity: pattern, methods: ["channel_pruning"] })).toEqual({
    use: "exactly",
    ratio: 0.3,
  });
  expect(channels({ sparsity: pattern, methods: ["sparsity"] })).toEqual({ use: "exactly", ratio: 0.3 });
  expect(channels({ sparsity: pattern, methods: ["quantization"] })).toEqual({ use: "no" });
  expect(channels({ sparsity: { pattern: "channel" } })).toEqual({ use: "auto" });
  expect(policyOf({ sparsity: pattern }, ["a"]).layers.get("a")!.sparsity).toEqual({ use: "no" });
});
