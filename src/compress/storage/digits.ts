import { DataType } from "../../onnx/data-type.ts";
import { intsTensor, type Rebuilding } from "./rebuilding.ts";

/**
 * Small integers 0 … base − 1 as digits of unsigned words, so that 7 levels take 2.9 bits and not 4. Standard nodes
 * take them apart again, and ONNX Runtime folds those at load.
 *
 * Digit j of word i (the least significant is digit 0) is element j·words + i.
 */
export interface Digits {
  readonly base: number;
  /** DataType of the words. */
  readonly word: number;
  readonly perWord: number;
  readonly count: number;
}

const WORDS = [
  { word: DataType.UINT8, bytes: 1, most: 2 ** 8 },
  { word: DataType.UINT16, bytes: 2, most: 2 ** 16 },
  { word: DataType.UINT32, bytes: 4, most: 2 ** 32 },
] as const;

/**
 * The word that takes the fewest bytes; the smallest of equal ones. `base` 2 … 256.
 * @throws RangeError where there is no such word
 */
export function digitsFor(base: number, count: number): Digits {
  if (!(base >= 2)) throw new RangeError(`there are no digits of base ${base}`);
  let best: Digits | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const { word, bytes, most } of WORDS) {
    let perWord = 0;
    for (let power = base; power <= most; power *= base) perWord++;
    const size = Math.ceil(count / perWord) * bytes;
    if (perWord > 0 && size < least) {
      best = { base, word, perWord, count };
      least = size;
    }
  }
  if (!best) throw new RangeError(`no word holds a digit of base ${base}`);
  return best;
}

export function digitBytes({ word, perWord, count }: Digits): number {
  return Math.ceil(count / perWord) * WORDS.find((one) => one.word === word)!.bytes;
}

export function packDigits(
  digits: Digits,
  values: ArrayLike<number>,
): Uint8Array | Uint16Array | Uint32Array {
  const { base, word, perWord, count } = digits;
  const length = Math.ceil(count / perWord);
  const words =
    word === DataType.UINT8
      ? new Uint8Array(length)
      : word === DataType.UINT16
        ? new Uint16Array(length)
        : new Uint32Array(length);
  let power = 1;
  for (let at = 0; at < count; at += length) {
    const end = Math.min(length, count - at);
    for (let i = 0; i < end; i++) words[i]! += values[at + i]! * power;
    power *= base;
  }
  return words;
}

/**
 * Adds the nodes that take the words apart: int32 or int64 digits, of the given dims (their product is the count).
 */
export function addDigits(to: Rebuilding, digits: Digits, words: string, dims: readonly number[]): string {
  const { base, word, perWord, count } = digits;
  // Powers of a 32-bit word are past int32.
  const type = word === DataType.UINT32 ? DataType.INT64 : DataType.INT32;
  const whole = to.add("Cast", [words], { to: { type: "int", value: type } });
  // Words of a single digit are stored in these dims.
  if (perWord === 1) return whole;
  const powers = [1];
  while (powers.length < perWord) powers.push(powers.at(-1)! * base);
  const shifted = to.add("Div", [whole, to.constant(intsTensor(type, [perWord, 1], powers))]);
  const radix = to.constant(intsTensor(type, [], [base]));
  let digit: string;
  if (to.opset >= 10) digit = to.add("Mod", [shifted, radix]);
  else {
    const above = to.add("Div", [shifted, radix]);
    digit = to.add("Sub", [shifted, to.add("Mul", [above, radix])]);
  }
  if (count % perWord === 0) return to.reshape(digit, dims);
  const cut = to.firstOf(to.reshape(digit, [-1]), count);
  return dims.length === 1 ? cut : to.reshape(cut, dims);
}
