import { MOST_NAME_BYTES, TAR_END_BYTES, tarHeader, tarPadding } from "../onnx/tar-write.ts";
import { FailedError } from "./errors.ts";

/** A tar of the files, by reference: nothing is read until the blob is. */
export function tarOf(files: readonly { name: string; content: Blob }[]): Blob {
  const parts: (Blob | Uint8Array<ArrayBuffer>)[] = [];
  for (const { name, content } of files) {
    if (new TextEncoder().encode(name).byteLength > MOST_NAME_BYTES) {
      throw new FailedError(
        "external_data",
        `the name ${name} is too long for a tar: ${MOST_NAME_BYTES} bytes fit`,
      );
    }
    parts.push(tarHeader(name, content.size), content, tarPadding(content.size));
  }
  parts.push(new Uint8Array(TAR_END_BYTES));
  return new Blob(parts);
}
