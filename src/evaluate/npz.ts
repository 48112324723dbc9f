import { type UnzipFileInfo, unzipSync } from "fflate";
import type { TensorValue } from "../onnx/tensor-value.ts";
import { parseNpy } from "./npy.ts";
import { SamplesError } from "./samples-error.ts";

/** Deflate cannot pack more than 1032 bytes into one; a directory that declares more lies. */
const DEFLATE_RATIO = 1032;

/**
 * Reads NumPy's archive of arrays (`np.savez`, `np.savez_compressed`).
 * @param maxBytes of all arrays together, once unpacked.
 * @throws SamplesError `not_npz`, `npz_entry`, `duplicate_array`, `too_large`, or what {@link parseNpy} throws.
 */
export function parseNpz(bytes: Uint8Array, maxBytes: number): Map<string, TensorValue> {
  const names = new Set<string>();
  let total = 0;
  const admit = ({ name, size, originalSize, compression }: UnzipFileInfo): boolean => {
    if (!name.endsWith(".npy") || name === ".npy") {
      throw new SamplesError("npz_entry", `archive entry ${JSON.stringify(name)} is no .npy array`);
    }
    if (names.has(name))
      throw new SamplesError("duplicate_array", `two arrays are called ${JSON.stringify(name)}`);
    names.add(name);
    total += originalSize;
    if (total > maxBytes) {
      throw new SamplesError(
        "too_large",
        `the arrays take more than ${maxBytes} bytes unpacked; send fewer samples`,
      );
    }
    if (size > bytes.byteLength || originalSize > (compression === 0 ? size : size * DEFLATE_RATIO)) {
      throw new SamplesError("not_npz", `archive entry ${JSON.stringify(name)} declares an impossible size`);
    }
    return true;
  };
  let entries: Record<string, Uint8Array>;
  try {
    entries = unzipSync(bytes, { filter: admit });
  } catch (error) {
    if (error instanceof SamplesError) throw error;
    throw new SamplesError(
      "not_npz",
      "the file is no zip archive, or a broken one; write it with numpy.savez",
      {
        cause: error,
      },
    );
  }
  return new Map(
    [...names].map((name) => {
      const array = name.slice(0, -".npy".length);
      return [array, parseNpy(entries[name]!, array)];
    }),
  );
}
