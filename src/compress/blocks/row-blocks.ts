import { elementCount } from "../../onnx/tensor-value.ts";
import type { LayerFacts } from "../layer-facts.ts";

/**
 * Elements up to which a weight is treated whole. The same on every host, so that the same upload gives the same bytes;
 * what treats a weight takes some ten times its 4 bytes an element.
 */
export const MOST_WHOLE = 2.5 * 2 ** 20;
const BLOCK_ELEMENTS = 2 ** 20;
/** Rows of a block, but the last, are a multiple of this: codes of less than a byte fill whole ones then. */
const ROW_MULTIPLE = 4;

/** Some rows of one matrix of a weight. */
export interface RowBlock {
  readonly matrix: number;
  readonly first: number;
  readonly rows: number;
}

/** A weight that is treated a block of rows at a time: rows have a matrix of inputs in common, and nothing else. */
export interface RowBlocks {
  /** Axis of the weight along which its rows lie. */
  readonly axis: number;
  readonly blocks: readonly RowBlock[];
}

/** How a weight is cut; null where it is small enough to stay whole, or its rows do not lie along one axis. */
export function rowBlocksOf(
  { dims, layout }: LayerFacts,
  mostWhole = MOST_WHOLE,
  blockElements = BLOCK_ELEMENTS,
): RowBlocks | null {
  if (layout === null || elementCount(dims) <= mostWhole) return null;
  const axis = rowAxisOf(dims, layout);
  if (axis === null) return null;
  const { count, rows, columns } = layout;
  const fitting = Math.max(1, Math.floor(blockElements / columns));
  const equal = rows / Math.ceil(rows / fitting);
  const most = Math.ceil(equal / ROW_MULTIPLE) * ROW_MULTIPLE;
  const blocks: RowBlock[] = [];
  for (let matrix = 0; matrix < count; matrix++) {
    for (let first = 0; first < rows; first += most) {
      blocks.push({ matrix, first, rows: Math.min(most, rows - first) });
    }
  }
  return blocks.length > 1 ? { axis, blocks } : null;
}

function rowAxisOf(dims: readonly number[], layout: NonNullable<LayerFacts["layout"]>): number | null {
  const { count, rows, transposed } = layout;
  if (transposed) return count === 1 && dims.at(-1) === rows ? dims.length - 1 : null;
  if (dims[0] === count * rows) return 0;
  return count === 1 && dims[0] === 1 && dims[1] === rows ? 1 : null;
}

/** Why a layer that is cut has no other form. */
const CUT = "its weight is treated in blocks of rows, which is too large to be factored";

/** What the methods need to know of one block, as if it were a layer. */
export function factsOfBlock(facts: LayerFacts, axis: number, { rows }: RowBlock): LayerFacts {
  const layout = facts.layout!;
  const dims = facts.dims.map((dim, i) => (i === axis ? rows : i < axis && !layout.transposed ? 1 : dim));
  const share = rows / (layout.count * layout.rows);
  return {
    ...facts,
    dims,
    bytes: Math.round(facts.bytes * share),
    macs: facts.macs === null ? null : Math.round(facts.macs * share),
    target: null,
    layout: { ...layout, count: 1, rows },
    rigid: facts.rigid ?? CUT,
    bias: facts.bias === null ? null : rows,
  };
}
