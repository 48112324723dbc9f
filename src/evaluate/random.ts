/**
 * Seeded random numbers, the same on every host: xoshiro128** (Blackman & Vigna, 2018), its state spread from the
 * seed by SplitMix32. Not for secrets.
 */
export interface Random {
  /** Uniform in [0, 1), 24 bits, so that it is exact as float32. */
  uniform(): number;
  /** Uniform over 0 … bound − 1. */
  integer(bound: number): number;
}

export function randomFrom(seed: number): Random {
  let mix = seed >>> 0;
  const next32 = () => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  const state = new Uint32Array([next32(), next32(), next32(), next32()]);
  const next = () => {
    const [s0, s1, s2, s3] = state as unknown as [number, number, number, number];
    const result = Math.imul(rotate(Math.imul(s1, 5), 7), 9) >>> 0;
    const t2 = s2 ^ s0;
    const t3 = s3 ^ s1;
    state[1] = s1 ^ t2;
    state[0] = s0 ^ t3;
    state[2] = t2 ^ (s1 << 9);
    state[3] = rotate(t3, 11);
    return result;
  };
  return {
    uniform: () => (next() >>> 8) / 2 ** 24,
    integer: (bound) => Math.floor(((next() >>> 8) / 2 ** 24) * bound),
  };
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}
