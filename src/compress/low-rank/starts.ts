import type { Kernels } from "../../kernels/kernels.ts";
import { unwhitened } from "./activation-aware-svd.ts";
import { contracted } from "./kronecker.ts";
import { firstColumns, jitteredCholesky, symmetric, transposed } from "./metric.ts";
import type { Part } from "./part.ts";

/** Columns of S up to which the mean block of G is all of it, and not its diagonal alone. */
const DENSE_COLUMNS = 1024;

/** Cholesky factor of the mean of the columns × columns blocks of all parts' G, each scaled to a mean diagonal of 1. */
export function rootOfMean(parts: readonly Part[], kernels: Kernels): Float64Array {
  const { columns } = parts[0]!.kronecker;
  const mean = new Float32Array(columns * columns);
  for (const { kronecker, metric } of parts) {
    const { blocks, inner } = kronecker;
    const { n, gram, diagonal } = metric;
    const unit = diagonal.reduce((sum, one) => sum + one, 0) / n;
    const factor = 1 / (unit * blocks * inner * parts.length);
    for (let block = 0; block < blocks; block++) {
      for (let q = 0; q < inner; q++) {
        for (let i = 0; i < columns; i++) {
          const row = (block * columns + i) * inner + q;
          mean[i * columns + i]! += factor * diagonal[row]!;
          if (!gram || columns > DENSE_COLUMNS) continue;
          for (let j = 0; j < columns; j++) {
            if (j !== i)
              mean[i * columns + j]! += factor * gram[row * n + (block * columns + j) * inner + q]!;
          }
        }
      }
    }
  }
  return jitteredCholesky(symmetric(mean, columns), columns, kernels);
}

/** The right singular vectors of the unfolded weights, plain and whitened by the mean block of G. */
export function unfoldedStarts(parts: readonly Part[], kernels: Kernels): (rank: number) => Float32Array[] {
  const { columns } = parts[0]!.kronecker;
  const plain = kernels.eigen(unfoldedGram(parts, kernels, false), columns).vectors;
  const root = rootOfMean(parts, kernels);
  const l = new Float32Array(root);
  const energy = new Float32Array(unfoldedGram(parts, kernels, true));
  const right = kernels.matmul(energy, l, columns, columns, columns);
  const seen = kernels.matmul(transposed(l, columns, columns), right, columns, columns, columns);
  const whitened = kernels.eigen(symmetric(seen, columns), columns).vectors;
  return (rank) => [
    transposed(firstColumns(plain, columns, columns, rank), columns, rank),
    unwhitened(firstColumns(whitened, columns, columns, rank), columns, rank, root, kernels),
  ];
}

/** Σ over parts, rows, blocks and inner positions of w·wᵀ; `byBlock` weights each block by its inputs' mean energy. */
function unfoldedGram(parts: readonly Part[], kernels: Kernels, byBlock: boolean): Float64Array {
  const { columns } = parts[0]!.kronecker;
  const sum = new Float64Array(columns * columns);
  for (const { w, rows, kronecker, metric, weight } of parts) {
    const { blocks, inner } = kronecker;
    const each = columns * inner;
    const strength = Float32Array.from({ length: blocks }, (_, block) => {
      if (!byBlock) return 1;
      const own = metric.diagonal.subarray(block * each, (block + 1) * each);
      return own.reduce((total, one) => total + one, 0) / each;
    });
    const scaled = w.map((one, i) => one * strength[Math.floor(i / each) % blocks]!);
    const one = contracted(kronecker, columns, w, scaled, rows, kernels);
    for (let i = 0; i < sum.length; i++) sum[i]! += weight * one[i]!;
  }
  return symmetric(new Float32Array(sum), columns);
}
