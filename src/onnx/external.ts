import { bitsPerElement } from "./data-type.ts";
import { ModelError } from "./errors.ts";
import type { TensorData } from "./model.ts";
import type { ParseContext } from "./parse-context.ts";
import { elementCount } from "./tensor-value.ts";

interface Described {
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly number[];
}

/**
 * Resolves TensorProto.external_data (location, offset, length) in the files that came with the model.
 * @throws ModelError when the location leaves the model's folder, the file is missing or the range is not inside it.
 */
export function externalSpan(
  tensor: Described,
  entries: ReadonlyMap<string, string>,
  context: ParseContext,
): TensorData {
  const location = externalPath(entries.get("location") ?? "", tensor.name);
  const source = context.external.get(location);
  const offset = number(entries.get("offset") ?? "0", "offset", tensor.name);
  if (source === undefined) {
    if (context.allowMissingExternal) return { kind: "external", location, span: null };
    throw new ModelError(
      "external_data_missing",
      `tensor "${tensor.name}" has its data in the file "${location}", which did not come with the model; upload a .zip or .tar of the model and this file, or save the model as one file`,
    );
  }
  const bits = bitsPerElement(tensor.dataType);
  const stated = entries.get("length");
  const length =
    stated !== undefined
      ? number(stated, "length", tensor.name)
      : bits !== undefined
        ? Math.ceil((elementCount(tensor.dims) * bits) / 8)
        : source.size - offset;
  if (!(length >= 0 && offset + length <= source.size)) {
    throw new ModelError(
      "external_data_out_of_bounds",
      `tensor "${tensor.name}" has its data at bytes ${offset} to ${offset + length} of "${location}", which has ${source.size} bytes; upload the whole file that belongs to this model`,
    );
  }
  return { kind: "external", location, span: { source, offset, length } };
}

/** The location as a plain relative path: `./a/b` is `a/b`. */
function externalPath(location: string, tensor: string): string {
  const parts = location.split("/").filter((part) => part !== "." && part !== "");
  const unsafe =
    location.startsWith("/") ||
    location.includes("\\") ||
    location.includes("\0") ||
    /^[A-Za-z]:/.test(location);
  if (unsafe || parts.length === 0 || parts.includes("..")) {
    throw new ModelError(
      "external_data_path",
      `tensor "${tensor}" has its data at "${location}", which is not a path inside the model's folder; save the model with its data beside it`,
    );
  }
  return parts.join("/");
}

function number(text: string, key: string, tensor: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw new ModelError(
      "external_data_invalid",
      `tensor "${tensor}" has external data with ${key} "${text}", which is not a number of bytes; export the model again`,
    );
  }
  return value;
}
