import type { Ways } from "./layout.ts";

/**
 * What the planner knows of a model: its weighted layers, the operators where branches meet or part, and the
 * tensors between them. Shapes only; whether a weight is 2:4 sparse is all that anybody looks at its numbers for. All element counts hold the whole batch.
 */
export interface Network {
  readonly name: string;
  readonly batch: number;
  /** In topological order. */
  readonly nodes: readonly NetworkNode[];
  readonly edges: readonly NetworkEdge[];
  /** What could not be counted exactly, and what was assumed instead. */
  readonly notes: readonly string[];
}

export interface NetworkNode {
  /** Unique. */
  readonly name: string;
  /** ONNX operator. */
  readonly op: string;
  /** Convolutional and fully connected layers are told apart by OWT; joins have no weight. */
  readonly kind: "convolution" | "dense" | "join";
  readonly ways: Ways;
  /** Units that types I, II, III can divide: samples, input channels, output channels. */
  readonly units: readonly [number, number, number];
  /** A(F_l). */
  readonly input: number;
  /** A(F_{l+1}), after the operators without weights that follow (AccPar counts after pooling). */
  readonly output: number;
  /** A(W_l). */
  readonly weights: number;
  readonly flops: PassFlops;
  /** Bytes of one element of F and E. */
  readonly elementBytes: number;
  /** Bytes of W_l where the layer reads it from: in memory as it is computed with, or with its integers as stored. */
  readonly weightBytes: number;
  /** Precision that the arithmetic needs; an accelerator that lacks it falls back on its nearest. */
  readonly precision: "fp32" | "fp16" | "bf16" | "int8" | "fp64";
  /** Set where the stored weight is 2:4 sparse along what the layer sums over. */
  readonly semiStructured?: true;
  /** Whether E_l goes anywhere: false where the input is the network's own. */
  readonly passesError: boolean;
}

export interface PassFlops {
  /** A(F_{l+1})·(2·D_in − 1), kernel included. */
  readonly forward: number;
  /** A(E_l)·(2·D_out − 1), kernel included. */
  readonly backward: number;
  /** A(W_l)·(2·B − 1), map included. */
  readonly gradient: number;
}

/** A tensor from one node to another, counted as the consumer takes it. */
export interface NetworkEdge {
  readonly from: number;
  readonly to: number;
  readonly elements: number;
}
