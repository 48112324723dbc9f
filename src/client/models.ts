import type { CalibrationResource, ModelResource } from "../../schemas/resources.ts";
import { List, type ListOptions } from "./pages.ts";
import type { RequestOptions, Transport } from "./transport.ts";
import { type UploadFile, uploadInParts } from "./upload-parts.ts";

/** Bytes to upload. In Node, `await fs.openAsBlob(path)` streams a file without reading it into memory. */
export type Upload = Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array>;

export interface UploadOptions extends RequestOptions {
  /** For people; shown in lists. */
  readonly name?: string;
}

/** Uploads take as long as they take: an hour. */
const UPLOAD_TIMEOUT_MS = 3_600_000;

export class Models {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /**
   * Uploads an ONNX file, a .zip or .tar of a model and its external data, or these as a list of files. Lists, and large bytes and
   * blobs (`maxBodyBytes`), go in parts; a stream cannot be tried again and has to stay below the server's limit.
   * @throws ValidationError that says what is wrong with the file.
   */
  upload(model: Upload | readonly UploadFile[], options: UploadOptions = {}): Promise<ModelResource> {
    if (Array.isArray(model)) return uploadInParts(this.transport, model as readonly UploadFile[], options);
    return this.#uploadFile(model as Upload, options);
  }

  #uploadFile(model: Upload, options: UploadOptions): Promise<ModelResource> {
    const file = model instanceof ArrayBuffer ? new Uint8Array(model) : model;
    if (isLarge(file, this.transport.maxBodyBytes)) return uploadInParts(this.transport, file, options);
    return this.transport.json(upload("/v1/models", file, options));
  }

  get(id: string, options?: RequestOptions): Promise<ModelResource> {
    return this.transport.json({ method: "GET", path: `/v1/models/${segment(id)}`, ...options });
  }

  list(options?: ListOptions): List<ModelResource> {
    return new List(this.transport, "/v1/models", options);
  }

  async delete(id: string, options?: RequestOptions): Promise<void> {
    await this.transport.request({ method: "DELETE", path: `/v1/models/${segment(id)}`, ...options });
  }
}

export class Calibrations {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Uploads sample inputs as .npz, .npy or .safetensors. */
  upload(samples: Upload, options: UploadOptions = {}): Promise<CalibrationResource> {
    return this.transport.json(upload("/v1/calibrations", samples, options));
  }

  get(id: string, options?: RequestOptions): Promise<CalibrationResource> {
    return this.transport.json({ method: "GET", path: `/v1/calibrations/${segment(id)}`, ...options });
  }

  list(options?: ListOptions): List<CalibrationResource> {
    return new List(this.transport, "/v1/calibrations", options);
  }

  async delete(id: string, options?: RequestOptions): Promise<void> {
    await this.transport.request({ method: "DELETE", path: `/v1/calibrations/${segment(id)}`, ...options });
  }
}

function isLarge(file: Upload, limit: number): file is Blob | Uint8Array<ArrayBuffer> {
  if (file instanceof Blob) return file.size > limit;
  return file instanceof Uint8Array && file.byteLength > limit;
}

function upload(path: string, body: Upload, { name, ...options }: UploadOptions) {
  return {
    method: "POST" as const,
    path,
    query: { name },
    headers: { "content-type": "application/octet-stream" },
    body: body as BodyInit,
    timeout: UPLOAD_TIMEOUT_MS,
    ...options,
  };
}

/** An id as a path segment, whatever the caller passed. */
export function segment(id: string): string {
  return encodeURIComponent(id);
}
