import type { Model } from "../onnx/model.ts";
import { ZooError } from "./errors.ts";
import type { Network } from "./graph.ts";
import { networkForModel } from "./network.ts";
import { alexnet, lenet, resnet, vgg } from "./zoo/convolutional.ts";
import { BERT, GPT3, transformer } from "./zoo/transformer.ts";

/** Models of the literature as shape-only ONNX: all the planner needs, without a weight. */
const ZOO: Readonly<Record<string, () => Model>> = {
  lenet,
  alexnet,
  "vgg-11": () => vgg(11),
  "vgg-13": () => vgg(13),
  "vgg-16": () => vgg(16),
  "vgg-19": () => vgg(19),
  "resnet-18": () => resnet(18),
  "resnet-34": () => resnet(34),
  "resnet-50": () => resnet(50),
  "resnet-101": () => resnet(101),
  "resnet-152": () => resnet(152),
  "bert-base": () => transformer(BERT.base),
  "bert-large": () => transformer(BERT.large),
  ...Object.fromEntries(Object.entries(GPT3).map(([name, shape]) => [name, () => transformer(shape)])),
};

export const ZOO_NAMES: readonly string[] = Object.keys(ZOO);

/** A shape-only model by name, without the `zoo:` in front. @throws ZooError */
export function zooModel(name: string): Model {
  const wanted = name.toLowerCase();
  const build = Object.hasOwn(ZOO, wanted) ? ZOO[wanted] : undefined;
  if (!build) throw new ZooError(name, ZOO_NAMES);
  return build();
}

/** The network of a zoo model for a batch (1 where nothing is said). @throws ZooError */
export async function zooNetwork(name: string, batch = 1): Promise<Network> {
  return networkForModel(zooModel(name), batch);
}
