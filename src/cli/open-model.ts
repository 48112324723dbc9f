import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { openArchive } from "../onnx/archive.ts";
import { walkGraphs } from "../onnx/edit.ts";
import type { AttributeValue, Model, Tensor } from "../onnx/model.ts";
import { readModel } from "../onnx/read.ts";
import type { ByteSource } from "../onnx/source.ts";
import { type FileSource, openFile } from "./file-source.ts";

/** A model on disk: its main file, and the external data files that it names. */
export interface OpenedModel {
  readonly main: ByteSource;
  readonly external: ReadonlyMap<string, ByteSource>;
  /** Where the external data lies, by the location that the model gives; empty for an archive. */
  readonly externalPaths: ReadonlyMap<string, string>;
  close(): Promise<void>;
}

/**
 * Opens an .onnx file with the external data beside it, as far as it is there, or a .zip or .tar of both.
 * @throws FailedError when a file cannot be read, ModelError when it is no ONNX.
 */
export async function openModel(path: string): Promise<OpenedModel> {
  const file = await openFile(path);
  const files: FileSource[] = [file];
  const close = async () => {
    for (const opened of files) await opened.close();
  };
  try {
    if (isArchive(path)) {
      const { main, external } = await openArchive(file);
      return { main, external, externalPaths: new Map(), close };
    }
    const model = await readModel(file, { allowMissingExternal: true });
    const external = new Map<string, ByteSource>();
    const externalPaths = new Map<string, string>();
    for (const location of externalLocations(model)) {
      // The reader has refused locations that leave the folder, and says so when a file that it needs is missing.
      const at = resolve(dirname(path), location);
      if (!existsSync(at)) continue;
      const source = await openFile(at);
      files.push(source);
      external.set(location, source);
      externalPaths.set(location, at);
    }
    return { main: file, external, externalPaths, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** By the name; the bytes decide later. */
export function isArchive(path: string): boolean {
  return /\.(zip|tar)$/i.test(path);
}

/** Every external data location that a tensor of the model names, subgraphs included. */
export function externalLocations(model: Model): Set<string> {
  const locations = new Set<string>();
  const note = ({ data }: Tensor) => {
    if (data.kind === "external") locations.add(data.location);
  };
  for (const { graph } of walkGraphs(model.graph)) {
    for (const tensor of graph.initializers) note(tensor);
    for (const { values, indices } of graph.sparseInitializers) [values, indices].forEach(note);
    for (const node of graph.nodes) {
      for (const attribute of node.attributes) tensorsOf(attribute.value).forEach(note);
    }
  }
  return locations;
}

function tensorsOf(attribute: AttributeValue): readonly Tensor[] {
  switch (attribute.type) {
    case "tensor":
      return [attribute.value];
    case "tensors":
      return attribute.value;
    case "sparse_tensor":
      return [attribute.value.values, attribute.value.indices];
    default:
      return [];
  }
}
