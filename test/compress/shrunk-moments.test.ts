import { expect, test } from "vitest";
import { type InputMoments, quadratic, shrunk } from "../../src/compress/input-moments.ts";
import { randomFrom } from "../../src/evaluate/random.ts";

/** Twelve uniform numbers make a normal one, nearly. */
function normals(seed: number): () => number {
  const random = randomFrom(seed);
  return () => Array.from({ length: 12 }, () => random.uniform()).reduce((sum, u) => sum + u, -6);
}

/** Of `count` vectors whose features have the given deviations. */
function momentsOf(deviations: readonly number[], count: number, normal: () => number): InputMoments {
  const n = deviations.length;
  const gram = new Float64Array(n * n);
  for (let k = 0; k < count; k++) {
    const x = deviations.map((deviation) => deviation * normal());
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) gram[i * n + j]! += (x[i]! * x[j]!) / count;
  }
  const diagonal = Float32Array.from({ length: n }, (_, i) => gram[i * n + i]!);
  return { n, count, gram: Float32Array.from(gram), diagonal, mean: new Float32Array(n) };
}

function ofTwo(count: number, gram: Float32Array): InputMoments {
  return { n: 2, count, gram, diagonal: Float32Array.of(gram[0]!, gram[3]!), mean: new Float32Array(2) };
}

const DEVIATIONS = Array.from({ length: 24 }, (_, i) => 0.3 + (i % 5));

test("of two equal features seen once, the closed form: G = [1 1; 1 1], n = 2, count 1 gives share 1 and I", () => {
  const moments = ofTwo(1, Float32Array.of(1, 1, 1, 1));
  expect([...shrunk(moments).gram!]).toEqual([1, 0, 0, 1]);
});

test("n = 2, count 9, G = diag(3, 1): share (0·10 + 16)/(9·(10 − 8)) = 8/9", () => {
  const { gram, diagonal } = shrunk(ofTwo(9, Float32Array.of(3, 0, 0, 1)));
  for (const [i, value] of [3 / 9 + 16 / 9, 0, 0, 1 / 9 + 16 / 9].entries())
    expect(gram![i]).toBeCloseTo(value, 6);
  expect([...diagonal]).toEqual([gram![0], gram![3]]);
});

test("many vectors, a diagonal alone and zeros stay as they are", () => {
  const many = { ...momentsOf(DEVIATIONS, 100, normals(1)), count: 60_000 };
  expect(shrunk(many)).toBe(many);
  const alone = { ...many, count: 3, gram: null };
  expect(shrunk(alone)).toBe(alone);
  const zeros = momentsOf([0, 0, 0], 4, normals(1));
  expect(shrunk(zeros).gram).toEqual(zeros.gram);
});

test("with a third as many vectors as features: no direction is free, and costs are nearer the true ones on average", () => {
  const n = DEVIATIONS.length;
  const variances = Float32Array.from(DEVIATIONS, (deviation) => deviation ** 2);
  const truth = { n, count: Infinity, gram: null, diagonal: variances, mean: new Float32Array(n) };
  let [plain, careful] = [0, 0];
  for (let seed = 10; seed < 30; seed++) {
    const normal = normals(seed);
    const few = momentsOf(DEVIATIONS, n / 3, normal);
    const shrunken = shrunk(few);
    // What a solver is drawn to: a direction that the few vectors do not have.
    const w = Float32Array.from({ length: n }, normal);
    const direction = withoutWhatIsSeen(w, few);
    expect(quadratic(direction, 1, n, shrunken)).toBeGreaterThan(0.1 * quadratic(direction, 1, n, truth));
    plain += Math.abs(quadratic(direction, 1, n, few) / quadratic(direction, 1, n, truth) - 1);
    careful += Math.abs(quadratic(direction, 1, n, shrunken) / quadratic(direction, 1, n, truth) - 1);
  }
  expect(careful).toBeLessThan(0.75 * plain);
});

/** The part of w that G hardly moves, by (I − G/trace)^k. */
function withoutWhatIsSeen(w: Float32Array, { n, gram, diagonal }: InputMoments): Float32Array {
  const trace = diagonal.reduce((sum, one) => sum + one, 0);
  let v = Float64Array.from(w);
  for (let step = 0; step < 500; step++) {
    v = v.map((one, i) => {
      let moved = 0;
      for (let j = 0; j < n; j++) moved += gram![i * n + j]! * v[j]!;
      return one - moved / trace;
    });
  }
  return Float32Array.from(v);
}
