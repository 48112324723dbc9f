import { meshAxes, meshOf, remarksOn } from "./mesh.ts";
import { pythonComment, pythonString, pythonTuple } from "./python.ts";
import type { Sharding } from "./sharding.ts";

/**
 * The plan as a Python module for JAX: a Mesh with an axis a level of the plan, and for every tensor of the model a
 * PartitionSpec.
 */
export function jaxModule(sharding: Sharding): string {
  const mesh = meshOf(sharding);
  const unsaid: string[] = [];
  const specs = sharding.layers.map((layer) => {
    const tensors = layer.tensors.map((tensor) => {
      const axes = meshAxes(mesh, layer, tensor);
      if (axes === null) unsaid.push(`${layer.name}: ${tensor.name}`);
      return `        ${pythonString(tensor.name)}: ${partitionSpec(axes)},  ${pythonComment(tensor.role)}`;
    });
    return `    ${pythonString(layer.name)}: {\n${tensors.join("\n")}\n    },`;
  });
  return `${[
    pythonComment(`Partition plan: ${sharding.plan.mode}, batch ${sharding.plan.batch}. Written by Hone.`),
    ...remarksOn("JAX", sharding, unsaid).map(pythonComment),
    "",
    "import numpy as np",
    "from jax.sharding import Mesh, NamedSharding, PartitionSpec as P",
    "",
    "# The plan's devices in the order of the mesh.",
    `DEVICES = ${pythonTuple(mesh.devices.map(pythonString))}`,
    `MESH_SHAPE = ${pythonTuple(mesh.shape.map(String))}`,
    `MESH_AXES = ${pythonTuple(mesh.axes.map(pythonString))}`,
    "",
    "# Layer -> tensor of the ONNX model -> how it lies on the mesh.",
    "SPECS = {",
    ...specs,
    "}",
    "",
    "",
    "def make_mesh(devices):",
    '    """A mesh of as many jax.Device as DEVICES, in its order."""',
    "    return Mesh(np.asarray(devices).reshape(MESH_SHAPE), MESH_AXES)",
    "",
    "",
    "def sharding(mesh, layer, tensor):",
    '    """How a tensor of a layer lies on the mesh."""',
    "    return NamedSharding(mesh, SPECS[layer][tensor])",
  ].join("\n")}\n`;
}

function partitionSpec(axes: readonly (readonly string[])[] | null): string {
  const entries = (axes ?? []).map((names) =>
    names.length === 0
      ? "None"
      : names.length === 1
        ? pythonString(names[0] as string)
        : pythonTuple(names.map(pythonString)),
  );
  while (entries.at(-1) === "None") entries.pop();
  return `P(${entries.join(", ")})`;
}
