import type { CalibrationResource } from "../../schemas/resources.ts";
import { describeArrays, readArrays, type SamplesFormat } from "../evaluate/samples.ts";
import { timestamp } from "../jobs/resource.ts";
import { bytesSource } from "../onnx/source.ts";
import type { CalibrationRow } from "../store/calibrations.ts";
import { newId } from "../store/ids.ts";
import { contentKey } from "../store/object-keys.ts";
import type { Store } from "../store/store.ts";

/**
 * Checks uploaded samples and keeps them.
 * @throws SamplesError that says what is wrong with the file
 */
export async function storeCalibration(
  store: Store,
  account: string,
  file: { bytes: Uint8Array; sha256: string },
  name: string | null,
  now: number,
): Promise<CalibrationResource> {
  const format = formatOf(file.bytes);
  const arrays = describeArrays(readArrays(file.bytes, format));
  const objectKey = contentKey(account, file.sha256);
  const row: CalibrationRow = {
    id: newId("cal", now),
    accountId: account,
    name,
    format,
    bytes: file.bytes.byteLength,
    sha256: file.sha256,
    objectKey,
    arrays,
    createdAt: now,
  };
  await store.objects.put(objectKey, bytesSource(file.bytes));
  await store.calibrations.insert(row);
  return calibrationResource(row);
}

/** By the first bytes; anything that is neither is read as safetensors, whose reader says what is wrong. */
function formatOf(bytes: Uint8Array): SamplesFormat {
  const starts = (...magic: number[]) => magic.every((byte, i) => bytes[i] === byte);
  if (starts(0x50, 0x4b)) return "npz";
  if (starts(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59)) return "npy";
  return "safetensors";
}

export function calibrationResource(row: CalibrationRow): CalibrationResource {
  return {
    id: row.id,
    object: "calibration",
    name: row.name,
    format: row.format,
    bytes: row.bytes,
    sha256: row.sha256,
    arrays: row.arrays,
    created_at: timestamp(row.createdAt),
  };
}
