import type { OpenAPIHono } from "@hono/zod-openapi";
import type { AppEnv } from "./context.ts";

/** The contract, from the routes themselves. */
export function openApiDocument(app: OpenAPIHono<AppEnv>) {
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Hone",
      version: "1",
      description:
        "Serverless model compression. Upload an ONNX model, compress it in a durable job, and get back a smaller model that stock ONNX Runtime runs, a partition plan for the accelerators you declare and a measured report. Errors are problem details (RFC 9457), lists are paged by `limit` and `after`, and a POST with an `Idempotency-Key` is done once. Webhooks follow Standard Webhooks.",
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    servers: [{ url: "/" }],
    tags: [
      { name: "Models" },
      { name: "Uploads", description: "Models larger than a request body may be." },
      { name: "Calibrations" },
      { name: "Compressions" },
      { name: "Plans" },
      { name: "Webhooks" },
      { name: "Service" },
    ],
  });
}
