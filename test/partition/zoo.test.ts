import { expect, test } from "vitest";
import { validateModel } from "../../src/onnx/validate.ts";
import { ZooError } from "../../src/partition/errors.ts";
import { ZOO_NAMES, zooModel, zooNetwork } from "../../src/partition/zoo.ts";

/** Weights without biases and normalisation in millions, and multiply-accumulates a sample in billions. */
const PUBLISHED: Readonly<Record<string, readonly [number, number]>> = {
  lenet: [0.4305, 0.00229],
  alexnet: [62.37, 3.04],
  "vgg-11": [132.85, 7.61],
  "vgg-13": [133.04, 11.31],
  "vgg-16": [138.34, 15.47],
  "vgg-19": [143.65, 19.63],
  "resnet-18": [11.68, 1.81],
  "resnet-34": [21.78, 3.66],
  "resnet-50": [25.5, 4.09],
  "resnet-101": [44.44, 7.8],
  "resnet-152": [60.04, 11.51],
  "bert-base": [108.4, 48.3],
  "bert-large": [333.2, 167.5],
  "gpt3-175b": [175_130, 367_500],
};

test.each(Object.entries(PUBLISHED))(
  "zoo:%s has its published weights and work within 1 %%",
  async (name, published) => {
    const [millions, billions] = published;
    const network = await zooNetwork(name, 1);
    const weights = network.nodes.reduce((sum, node) => sum + node.weights, 0);
    const macs = network.nodes
      .filter(({ kind, op }) => kind !== "join" || op === "MatMul")
      .reduce((sum, { flops, output }) => sum + (flops.forward + output) / 2, 0);
    expect(Math.abs(weights / 1e6 / millions - 1)).toBeLessThan(0.01);
    expect(Math.abs(macs / 1e9 / billions - 1)).toBeLessThan(0.01);
    expect(network.notes).toEqual([]);
  },
);

test.each(ZOO_NAMES.map((name) => [name]))("zoo:%s is a valid model without a single weight", (name) => {
  const model = zooModel(name);
  expect(() => validateModel(model)).not.toThrow();
  for (const { data, dataType } of model.graph.initializers) {
    if (dataType === 1) expect(data).toMatchObject({ kind: "external", span: null });
  }
});

test("names may be in any case, and an unknown one lists those there are", () => {
  expect(zooModel("ResNet-50").graph.name).toBe("resnet-50");
  expect(() => zooModel("toString")).toThrow(ZooError);
  expect(() => zooModel("vgg-12")).toThrow(/it has lenet, alexnet, vgg-11/);
});
