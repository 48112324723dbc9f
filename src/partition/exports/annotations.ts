import { mapGraphs } from "../../onnx/edit.ts";
import { Encoder } from "../../onnx/encoder.ts";
import {
  ConfigurationField,
  ModelField,
  NodeConfigurationField,
  NodeField,
  ShardingField,
} from "../../onnx/fields.ts";
import type { Model, Node, UnknownField } from "../../onnx/model.ts";
import type { Interval } from "../execution/work.ts";
import {
  axisCut,
  DIMENSIONS,
  type ShardedLayer,
  type ShardedTensor,
  type Sharding,
  typeAt,
} from "./sharding.ts";

/** IR version that has multi-device annotations (onnx.proto, ONNX 1.18). */
const IR_VERSION = 11;
const CONFIGURATION = "hone";
/** Key of the metadata entry with what the annotations have no field for. */
export const METADATA_KEY = "hone.plan";

/**
 * A copy of the model with ONNX's multi-device annotations: the devices as one configuration, and for every planned node
 * how its inputs and outputs lie on them. ONNX has no field for unequal shares, times and memory: those go into the
 * metadata entry `hone.plan`. Runtimes that know nothing of devices ignore all of it.
 */
export function annotated(model: Model, sharding: Sharding): Model {
  const { plan, work } = sharding;
  const ofNode = new Map(sharding.layers.map((layer) => [layer.node, layer]));
  const configuration = new Encoder();
  configuration.string(ConfigurationField.name, CONFIGURATION);
  configuration.int(ConfigurationField.numDevices, work.devices.length);
  for (const device of work.devices) configuration.string(ConfigurationField.device, device);
  const graph = mapGraphs(model.graph, (own) => {
    if (!own.nodes.some((node) => ofNode.has(node))) return own;
    return {
      ...own,
      nodes: own.nodes.map((node) => {
        const layer = ofNode.get(node);
        return layer
          ? { ...node, unknown: replaced(node, NodeField.deviceConfigurations, [nodeConfiguration(layer)]) }
          : node;
      }),
    };
  });
  const unequal = sharding.layers.map(({ name, types, portions }) => ({
    layer: name,
    types: types.join("/"),
    portions: portions.map((portion) => DIMENSIONS.map((d) => [portion[d].from, portion[d].to])),
  }));
  const summary = {
    mode: plan.mode,
    batch: plan.batch,
    step_time_s: plan.step_time_s,
    devices: plan.devices.filter(({ name }) => work.devices.includes(name)),
    layers: unequal,
  };
  return {
    ...model,
    irVersion: Math.max(IR_VERSION, model.irVersion),
    graph,
    metadata: [
      ...model.metadata.filter(({ key }) => key !== METADATA_KEY),
      { key: METADATA_KEY, value: JSON.stringify(summary) },
    ],
    unknown: replaced(model, ModelField.configuration, [configuration]),
  };
}

/** An object's unread fields, with those of one number exchanged. */
function replaced(
  { unknown = [] }: Pick<Model | Node, "unknown">,
  number: number,
  messages: readonly Encoder[],
): UnknownField[] {
  const added = messages.map((message): UnknownField => {
    const field = new Encoder();
    field.message(number, message);
    return { number, encoded: field.bytesSoFar() };
  });
  return [...unknown.filter((field) => field.number !== number), ...added];
}

function nodeConfiguration(layer: ShardedLayer): Encoder {
  const message = new Encoder();
  message.string(NodeConfigurationField.configurationId, CONFIGURATION);
  for (const tensor of layer.tensors) {
    const spec = shardingSpec(layer, tensor);
    if (spec) message.message(NodeConfigurationField.shardingSpec, spec);
  }
  return message;
}

/**
 * How one tensor lies on the devices: the axes that are cut, and the devices of every shard, the last axis fastest. Where
 * several devices hold the same shard, a number below zero stands for the group of them. null where the shards are
 * no grid.
 */
function shardingSpec(layer: ShardedLayer, tensor: ShardedTensor): Encoder | null {
  const cuts = new Map<number, Interval[]>();
  for (let level = 0; level < layer.types.length; level++) {
    const type = typeAt(layer, level);
    const axis = axisCut(layer, tensor, type);
    if (axis !== null)
      cuts.set(
        axis,
        layer.portions.map((portion) => portion[DIMENSIONS[type]]),
      );
  }
  const axes = [...cuts.keys()].sort((a, b) => a - b);
  const parts = axes.map((axis) => distinctParts(cuts.get(axis) as Interval[]));
  const cells = new Map<string, number[]>();
  for (const device of layer.portions.keys()) {
    const cell = axes.map((axis, i) =>
      (parts[i] as string[]).indexOf(text((cuts.get(axis) as Interval[])[device] as Interval)),
    );
    cells.set(cell.join(), [...(cells.get(cell.join()) ?? []), device]);
  }
  const shards = parts.reduce((product, { length }) => product * length, 1);
  if (cells.size !== shards) return null;
  const groups = Array.from({ length: shards }, (_, shard) => {
    const cell: number[] = [];
    for (let i = parts.length - 1, rest = shard; i >= 0; i--) {
      const { length } = parts[i] as string[];
      cell.unshift(rest % length);
      rest = Math.floor(rest / length);
    }
    return cells.get(cell.join()) as number[];
  });
  const spec = new Encoder();
  spec.string(ShardingField.tensorName, tensor.name);
  spec.ints(
    ShardingField.device,
    groups.map((group, i) => (group.length === 1 ? (group[0] as number) : -1 - i)),
  );
  for (const [i, group] of groups.entries()) {
    if (group.length === 1) continue;
    const entry = new Encoder();
    entry.int(1, -1 - i);
    entry.ints(2, group);
    spec.message(ShardingField.indexToDeviceGroupMap, entry);
  }
  for (const [i, axis] of axes.entries()) {
    const simple = new Encoder();
    simple.int(3, (parts[i] as string[]).length);
    const dim = new Encoder();
    dim.int(1, axis);
    dim.message(2, simple);
    spec.message(ShardingField.shardedDim, dim);
  }
  return spec;
}

/** Non-empty parts in their order. */
function distinctParts(intervals: readonly Interval[]): string[] {
  return [...new Set([...intervals].sort((a, b) => a.from - b.from || a.to - b.to).map(text))];
}

function text({ from, to }: Interval): string {
  return `${from}:${to}`;
}
