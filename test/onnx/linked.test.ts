import { describe, expect, it } from "vitest";
import { openArchive } from "../../src/onnx/archive.ts";
import { linkTensors } from "../../src/onnx/linked.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read.ts";
import { type ByteSource, bytesSource, wholeOf } from "../../src/onnx/source.ts";
import { validateModel } from "../../src/onnx/validate.ts";
import { encodeModel, modelBytes } from "../../src/onnx/write.ts";
import { encodeArchive } from "../../src/onnx/write-archive.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { realModel } from "../models/registry.ts";

const NAMES = ["lenet-5", "vit-mnist", "resnet-mnist"];

async function answers(model: Uint8Array, name: string) {
  const [feeds] = await realModel(name).samples(1);
  const session = await (await nodeRuntime()).load(model);
  try {
    return await session.run(feeds!);
  } finally {
    await session.release();
  }
}

describe.each(NAMES)("%s", (name) => {
  it("is a file of its graph alone when its payloads are named, and itself again when they are taken in", async () => {
    const upload = await realModel(name).bytes();
    const whole = bytesSource(upload);
    const model = await readModel(whole);
    const linked = linkTensors(model, (span) => ({ location: "weights", span }));
    const graph = await wholeOf(encodeModel(linked, "named"));
    expect(graph.length).toBeLessThan(upload.length / 2);
    const back = await readModel(bytesSource(graph), { external: new Map([["weights", whole]]) });
    validateModel(back);
    expect(await answers(await modelBytes(back), name)).toEqual(await answers(upload, name));
  });

  it("is read back from the archive that one past 2 GiB would be, payloads on pages, and answers the same", async () => {
    const upload = await realModel(name).bytes();
    const archive = await wholeOf(encodeArchive(await readModel(bytesSource(upload))));
    const { main, external } = await openArchive(bytesSource(archive));
    expect([...external.keys()]).toEqual(["model.onnx.data"]);
    const back = await readModel(main, { external });
    validateModel(back);
    for (const { data } of back.graph.initializers) {
      if (data.kind === "external") expect(data.span!.offset % 512).toBe(0);
    }
    expect(await answers(await modelBytes(back), name)).toEqual(await answers(upload, name));
  });
});

it("takes into the file what no blob is named for, also where it came from a file beside the upload", async () => {
  const beside: ByteSource = bytesSource(Uint8Array.from({ length: 8192 }, (_, i) => i % 251));
  const model: Model = {
    irVersion: 9,
    opsetImports: [{ domain: "", version: 17 }],
    metadata: [],
    functions: [],
    graph: {
      name: "g",
      nodes: [],
      inputs: [],
      outputs: [],
      valueInfo: [],
      sparseInitializers: [],
      initializers: [
        {
          name: "w",
          dataType: 2,
          dims: [8000],
          data: {
            kind: "external",
            location: "old.bin",
            span: { source: beside, offset: 100, length: 8000 },
          },
        },
      ],
    },
  };
  const bytes = await wholeOf(
    encodeModel(
      linkTensors(model, () => undefined),
      "named",
    ),
  );
  const back = await readModel(bytesSource(bytes));
  const { data } = back.graph.initializers[0]!;
  expect(data.kind).toBe("raw");
  expect(bytes.length).toBeGreaterThan(8000);
});
