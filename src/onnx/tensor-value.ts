/**
 * A tensor whose numbers are at hand. The array type follows the data type: float Float32Array, double
 * Float64Array, float16/bfloat16 Uint16Array (bit patterns), int64 BigInt64Array, uint64 BigUint64Array,
 * bool Uint8Array, 4-bit and 2-bit types Uint8Array/Int8Array with one element an entry, and so on.
 */
export interface TensorValue {
  readonly dataType: number;
  readonly dims: readonly number[];
  readonly data: TensorArray;
}

export type TensorArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | readonly string[];

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}
