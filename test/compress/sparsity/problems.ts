import type { InputMoments } from "../../../src/compress/input-moments.ts";
import { readModel } from "../../../src/onnx/read.ts";
import { bytesSource } from "../../../src/onnx/source.ts";
import { readTensor } from "../../../src/onnx/tensor.ts";
import { mnistImages } from "../../models/mnist.ts";
import { sharedBytes } from "../../models/shared.ts";

/** A matrix, rows × moments.n, and what its inputs are like. */
export interface Problem {
  readonly w: Float32Array;
  readonly rows: number;
  readonly moments: InputMoments;
}

/** Seeded normal numbers: sums of twelve of a linear congruential generator. */
export function normals(count: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) % 2147483648;
  const uniform = () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 2147483648;
  };
  return Float32Array.from({ length: count }, () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += uniform();
    return sum;
  });
}

/** Second moments, mean and diagonal of samples, each of n features, in double precision. */
export function momentsOf(samples: Float32Array, n: number): InputMoments {
  const count = samples.length / n;
  const gram = new Float64Array(n * n);
  const mean = new Float64Array(n);
  for (let s = 0; s < count; s++) {
    const x = samples.subarray(s * n, (s + 1) * n);
    for (let i = 0; i < n; i++) {
      const xi = x[i]!;
      if (xi === 0) continue;
      mean[i]! += xi / count;
      for (let j = 0; j < n; j++) gram[i * n + j]! += (xi * x[j]!) / count;
    }
  }
  return {
    n,
    count,
    gram: Float32Array.from(gram),
    diagonal: Float32Array.from({ length: n }, (_, i) => gram[i * n + i]!),
    mean: Float32Array.from(mean),
  };
}

/**
 * Normal weights, and inputs as layers see them: a random walk along the features, of strength that differs from
 * feature to feature, with a common offset.
 */
export function correlated(rows: number, n: number, seed: number, count = 4 * n): Problem {
  const noise = normals(count * n, seed);
  const scale = normals(n, seed + 1).map((value) => 0.3 + Math.abs(value));
  const samples = new Float32Array(count * n);
  for (let s = 0; s < count; s++) {
    let x = noise[s * n]!;
    for (let i = 0; i < n; i++) {
      x = 0.8 * x + 0.6 * noise[s * n + i]!;
      samples[s * n + i] = (x + 0.5) * scale[i]!;
    }
  }
  return { w: normals(rows * n, seed + 2), rows, moments: momentsOf(samples, n) };
}

/** The second and third layer of lenet-300-100 with their inputs over the first `count` training digits. */
export async function lenetLayers(count: number): Promise<{ second: Problem; third: Problem }> {
  const model = await readModel(bytesSource(await sharedBytes("lenet-300-100.onnx")));
  const tensors = await Promise.all(
    model.graph.initializers.map(async (tensor) => ({
      dims: tensor.dims,
      data: (await readTensor(tensor)).data,
    })),
  );
  const constant = (...dims: number[]) => {
    const found = tensors.find((tensor) => tensor.dims.join() === dims.join());
    if (!found) throw new Error(`lenet-300-100 has no tensor of ${dims.join("×")}`);
    return found.data as Float32Array;
  };
  const { feeds } = await mnistImages("train", 0, count, [784]);
  const pixels = feeds.input!.data as Float32Array;
  const dense = (x: Float32Array, w: Float32Array, b: Float32Array, rows: number, n: number) =>
    Float32Array.from({ length: count * rows }, (_, at) => {
      const [s, r] = [Math.floor(at / rows), at % rows];
      let sum = b[r]!;
      for (let i = 0; i < n; i++) sum += w[r * n + i]! * x[s * n + i]!;
      return Math.max(0, sum);
    });
  const [w1, w2, w3] = [constant(300, 784), constant(100, 300), constant(10, 100)];
  const hidden = dense(pixels, w1, constant(300), 300, 784);
  const deeper = dense(hidden, w2, constant(100), 100, 300);
  return {
    second: { w: w2, rows: 100, moments: momentsOf(hidden, 300) },
    third: { w: w3, rows: 10, moments: momentsOf(deeper, 100) },
  };
}
