import type { ShardManifest } from "../../../schemas/shards.ts";
import type { Model } from "../../onnx/model.ts";
import type { FlatModel } from "./flat.ts";
import type { Program, Shard } from "./program.ts";
import { inputNames, shardModel } from "./shard-model.ts";

export type ManifestShard = ShardManifest["stages"][number]["shards"][number];
export type Collective = ShardManifest["stages"][number]["collectives"][number];

/** A program as plain data, and the models that it runs. */
export interface Shards {
  readonly manifest: ShardManifest;
  /** Made anew at each call, so that the slices of one shard only are in memory. @throws where there is no such file. */
  model(file: string): Model;
}

/** What is run and what is exported are the same. */
export function shardsOf(flat: FlatModel, program: Program): Shards {
  const files = new Map<string, Shard>();
  const stages = program.stages.map(({ collectives, shards }, s) => ({
    collectives: collectives.map(({ kind, value, results }) => ({
      kind,
      value,
      results: results.map(({ device, box, pieces }) => ({
        device,
        box: [...box],
        pieces: pieces.map((piece) => ({ from: piece.from, box: [...piece.box] })),
      })),
    })),
    shards: shards.map((shard, i): ManifestShard => {
      const file = `stage-${String(s).padStart(3, "0")}-${i}.onnx`;
      files.set(file, shard);
      const inputs = inputNames(shard);
      return {
        file,
        devices: [...shard.devices],
        inputs: shard.inputs.map(({ value, box }, at) => ({
          name: inputs[at] ?? value,
          value,
          box: [...box],
        })),
        outputs: shard.outputs.map(({ value, box, partial }) => ({
          name: value,
          value,
          box: [...box],
          partial,
        })),
      };
    }),
  }));
  return {
    manifest: {
      format: "hone-shards-1",
      devices: [...program.devices],
      samples: program.samples,
      inputs: flat.model.graph.inputs.map(({ name }) => ({
        name,
        shape: [...(flat.values.get(name)?.dims ?? [])],
      })),
      stages,
      outputs: [...program.outputs],
      undivided: [...program.undivided],
      not_run: [...program.absent],
    },
    model(file) {
      const shard = files.get(file);
      if (!shard) throw new RangeError(`there is no shard ${file}`);
      return shardModel(flat, shard);
    },
  };
}
