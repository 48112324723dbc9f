import { DataType } from "../../onnx/data-type.ts";
import { type NewAttribute, nodeOf } from "../../onnx/edit.ts";
import type { Node, Tensor } from "../../onnx/model.ts";
import { tensorOf } from "../../onnx/tensor.ts";
import { compactTensor } from "../lossless/derived.ts";
import { initializerBytes, nodeBytes } from "../lossless/size.ts";
import type { Tile } from "./convolution-time.ts";
import { type FastCorrelation, fastCorrelation } from "./cook-toom.ts";

/** A convolution of one group with a constant weight over two axes, dilation 1 and step 1 along the tiled axes. */
export interface Convolution {
  readonly node: Node;
  /** [O, I, rows, columns]. */
  readonly weightDims: readonly number[];
  readonly strides: readonly [rows: number, columns: number];
  /** [top, left, bottom, right]. */
  readonly pads: readonly number[];
  /** null: not known, but as long as the input's. */
  readonly output: readonly [rows: number | null, columns: number | null];
}

/** New nodes, in order, and the constants that they need. */
export class Parts {
  readonly nodes: Node[] = [];
  readonly constants: Tensor[] = [];
  /** Names of what several convolutions use, by what it is. */
  readonly shared: Map<string, string>;
  readonly #fresh: (stem: string) => string;

  constructor(fresh: (stem: string) => string, shared: ReadonlyMap<string, string>) {
    this.#fresh = fresh;
    this.shared = new Map(shared);
  }

  get bytes(): number {
    const nodes = this.nodes.reduce((sum, node) => sum + nodeBytes(node), 0);
    return this.constants.reduce((sum, tensor) => sum + initializerBytes(tensor), nodes);
  }

  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, NewAttribute>> = {},
  ): string {
    const output = this.#fresh("t");
    this.nodes.push(nodeOf(opType, inputs, [output], attributes));
    return output;
  }

  once(key: string, make: () => string): string {
    const known = this.shared.get(key);
    if (known !== undefined) return known;
    const name = make();
    this.shared.set(key, name);
    return name;
  }

  integers(values: readonly number[], dims: readonly number[] = [values.length]): string {
    return this.once(`int64 ${dims} ${values}`, () => {
      const name = this.#fresh("t");
      const data = BigInt64Array.from(values, BigInt);
      this.constants.push(compactTensor(name, { dataType: DataType.INT64, dims, data }));
      return name;
    });
  }

  floats(values: readonly number[], dims: readonly number[]): string {
    return this.once(`float ${dims} ${values}`, () => {
      const name = this.#fresh("t");
      const data = Float32Array.from(values);
      this.constants.push(tensorOf(name, { dataType: DataType.FLOAT, dims, data }));
      return name;
    });
  }
}

const int = (value: number): NewAttribute => ({ type: "int", value });
const ints = (value: readonly number[]): NewAttribute => ({ type: "ints", value });

/**
 * The convolution by F(m, r) along the tiled axes: a grouped convolution takes each tile to its n points, a
 * convolution with a group a point sums over the channels, and a grouped transposed convolution puts the tiles
 * together again. The weight is transformed by nodes whose inputs are constant, which runtimes fold when they load
 * the model, so that the file still holds it as it was. Works at every opset from 7 on, from 10 on where
 * an output size is not known.
 */
export function addTiledConvolution(
  parts: Parts,
  convolution: Convolution,
  [rows, columns]: Tile,
  opset: number,
): void {
  const { node, weightDims, strides, pads, output } = convolution;
  const [outputChannels, inputChannels, height, width] = weightDims as [number, number, number, number];
  const [input, weight, bias] = node.inputs as [string, string, string | undefined];
  const vertical = rows > 1 ? fastCorrelation(rows, height) : null;
  const horizontal = columns > 1 ? fastCorrelation(columns, width) : null;
  const points = (vertical?.points ?? 1) * (horizontal?.points ?? 1);
  const [top, left, bottom, right] = pads as [number, number, number, number];

  // [I·n, …] with the points of a channel side by side; the last tile reads beyond the margin.
  const spread = parts.node("Conv", [input, transform(parts, "input", vertical, horizontal, inputChannels)], {
    group: int(inputChannels),
    strides: ints([rows, columns]),
    pads: ints([
      vertical ? top : 0,
      horizontal ? left : 0,
      vertical ? bottom + rows - 1 : 0,
      horizontal ? right + columns - 1 : 0,
    ]),
  });
  const byPoint = parts.node("Gather", [spread, interleaving(parts, inputChannels, points, opset)], {
    axis: int(1),
  });
  const summed = parts.node("Conv", [byPoint, pointWeight(parts, weight, weightDims, vertical, horizontal)], {
    group: int(points),
    strides: ints([vertical ? 1 : strides[0], horizontal ? 1 : strides[1]]),
    pads: ints([vertical ? 0 : top, horizontal ? 0 : left, vertical ? 0 : bottom, horizontal ? 0 : right]),
  });
  const byChannel = parts.node("Gather", [summed, interleaving(parts, points, outputChannels, opset)], {
    axis: int(1),
  });
  const beyond = ([rows, columns] as const).map((step, axis) => {
    const size = output[axis]!;
    return size === null ? 0 : Math.ceil(size / step) * step - size;
  });
  const joining = [byChannel, transform(parts, "output", vertical, horizontal, outputChannels)];
  const joined = parts.node("ConvTranspose", bias ? [...joining, bias] : joining, {
    group: int(outputChannels),
    strides: ints([rows, columns]),
    pads: ints([0, 0, ...beyond]),
  });
  const open = [0, 1]
    .filter((axis) => output[axis] === null && [rows, columns][axis]! > 1)
    .map((axis) => axis + 2);
  if (open.length > 0) {
    const axes = parts.integers(open);
    const ends = parts.once(`sizes ${open} ${input}`, () =>
      parts.node("Gather", [parts.node("Shape", [input]), axes]),
    );
    parts.node("Slice", [joined, parts.integers(open.map(() => 0)), ends, axes]);
  }
  const last = parts.nodes.at(-1)!;
  parts.nodes[parts.nodes.length - 1] = { ...last, name: node.name, outputs: node.outputs };
}

/**
 * The filters of all channels that take tiles to points, [I·n, 1, …], or points to tiles, [O·n, 1, …]: one filter
 * bank, repeated.
 */
function transform(
  parts: Parts,
  kind: "input" | "output",
  vertical: FastCorrelation | null,
  horizontal: FastCorrelation | null,
  channels: number,
): string {
  const bank = (matrix: FastCorrelation) => (kind === "input" ? matrix.input : transposed(matrix.output));
  const along = (matrix: FastCorrelation, axis: 0 | 1) => {
    const rows = bank(matrix);
    const dims = [1, 1, 1, 1];
    dims[horizontal && vertical ? axis : 0] = rows.length;
    dims[2 + axis] = rows[0]!.length;
    return { dims, name: parts.floats(rows.flat(), dims) };
  };
  const v = vertical && along(vertical, 0);
  const h = horizontal && along(horizontal, 1);
  return parts.once(`${kind} ${v?.name} ${h?.name} ${channels}`, () => {
    let one = (v ?? h)!.name;
    if (v && h) {
      const product = parts.node("Mul", [v.name, h.name]);
      const dims = [v.dims[0]! * h.dims[1]!, 1, v.dims[2]!, h.dims[3]!];
      one = parts.node("Reshape", [product, parts.integers(dims)]);
    }
    return parts.node("Tile", [one, parts.integers([channels, 1, 1, 1])]);
  });
}

/** The weight at the points, [n·O, I, …], the points outermost. */
function pointWeight(
  parts: Parts,
  weight: string,
  [outputs, inputs, height, width]: readonly number[],
  vertical: FastCorrelation | null,
  horizontal: FastCorrelation | null,
): string {
  let name = weight;
  if (vertical) {
    const matrix = parts.floats(vertical.filter.flat(), [vertical.points, height!]);
    name = parts.node("MatMul", [matrix, name]);
  }
  if (horizontal) {
    const matrix = parts.floats(transposed(horizontal.filter).flat(), [width!, horizontal.points]);
    name = parts.node("MatMul", [name, matrix]);
  }
  const perm = vertical && horizontal ? [2, 3, 0, 1] : vertical ? [2, 0, 1, 3] : [3, 0, 1, 2];
  const points = (vertical?.points ?? 1) * (horizontal?.points ?? 1);
  const dims = [points * outputs!, inputs!, vertical ? 1 : height!, horizontal ? 1 : width!];
  return parts.node("Reshape", [parts.node("Transpose", [name], { perm: ints(perm) }), parts.integers(dims)]);
}

/** Indices that take a rows × columns arrangement of channels to columns × rows. */
function interleaving(parts: Parts, rows: number, columns: number, opset: number): string {
  return parts.once(`interleaving ${rows} ${columns}`, () => {
    const count = rows * columns;
    if (opset < 11) {
      return parts.integers(
        Array.from({ length: count }, (_, i) => (i % rows) * columns + Math.floor(i / rows)),
      );
    }
    const [zero, end, one] = [0, count, 1].map((value) => parts.integers([value], []));
    const range = parts.node("Range", [zero!, end!, one!]);
    const matrix = parts.node("Reshape", [range, parts.integers([rows, columns])]);
    const turned = parts.node("Transpose", [matrix], { perm: ints([1, 0]) });
    return parts.node("Reshape", [turned, parts.integers([-1])]);
  });
}

function transposed(matrix: readonly (readonly number[])[]): number[][] {
  return matrix[0]!.map((_, column) => matrix.map((row) => row[column]!));
}
