import type { Mesh } from "./mesh.ts";
import { meshOf, remarksOn } from "./mesh.ts";
import { pythonComment, pythonString, pythonTuple } from "./python.ts";
import { axisCut, type ShardedLayer, type ShardedTensor, type Sharding, typeAt } from "./sharding.ts";

/**
 * The plan as a Python module for PyTorch's DTensor: a device mesh with a dimension a level of the plan, and for every
 * tensor of the model its placements, one a mesh dimension. Outputs of layers split by input channels are partial sums.
 */
export function dtensorModule(sharding: Sharding): string {
  const mesh = meshOf(sharding);
  const unsaid: string[] = [];
  const placements = sharding.layers.map((layer) => {
    const tensors = layer.tensors.map((tensor) => {
      const own = placementsOf(mesh, layer, tensor);
      if (own === null) unsaid.push(`${layer.name}: ${tensor.name}`);
      const text = pythonTuple(own ?? mesh.axes.map(() => "Replicate()"));
      return `        ${pythonString(tensor.name)}: ${text},  ${pythonComment(tensor.role)}`;
    });
    return `    ${pythonString(layer.name)}: {\n${tensors.join("\n")}\n    },`;
  });
  return `${[
    pythonComment(`Partition plan: ${sharding.plan.mode}, batch ${sharding.plan.batch}. Written by Hone.`),
    ...remarksOn("DTensor", sharding, unsaid).map(pythonComment),
    "",
    "from torch.distributed.device_mesh import init_device_mesh",
    "from torch.distributed.tensor import Partial, Replicate, Shard, distribute_tensor",
    "",
    "# The plan's devices by rank.",
    `DEVICES = ${pythonTuple(mesh.devices.map(pythonString))}`,
    `MESH_SHAPE = ${pythonTuple(mesh.shape.map(String))}`,
    `MESH_DIM_NAMES = ${pythonTuple(mesh.axes.map(pythonString))}`,
    "",
    "# Layer -> tensor of the ONNX model -> a placement for each dimension of the mesh.",
    "# Partial() is what the layer's own product gives; redistribute it to Replicate().",
    "PLACEMENTS = {",
    ...placements,
    "}",
    "",
    "",
    'def make_mesh(device_type="cuda"):',
    '    """The mesh of len(DEVICES) ranks."""',
    "    return init_device_mesh(device_type, MESH_SHAPE, mesh_dim_names=MESH_DIM_NAMES)",
    "",
    "",
    "def distribute(mesh, layer, name, tensor):",
    '    """A weight or an input of a layer as a DTensor."""',
    "    return distribute_tensor(tensor, mesh, PLACEMENTS[layer][name])",
  ].join("\n")}\n`;
}

function placementsOf(mesh: Mesh, layer: ShardedLayer, tensor: ShardedTensor): string[] | null {
  const own = layer.types.map((_, level) => placement(layer, tensor, level));
  if (mesh.axes.length === own.length) return own;
  const [first] = own;
  if (first === undefined) return ["Replicate()"];
  return own.every((other) => other === first) ? [first] : null;
}

function placement(layer: ShardedLayer, tensor: ShardedTensor, level: number): string {
  const type = typeAt(layer, level);
  const axis = axisCut(layer, tensor, type);
  if (axis !== null) return `Shard(${axis})`;
  const sums = layer.ways[type]?.forwardSum === "output" && tensor.role === "output";
  return sums ? "Partial()" : "Replicate()";
}
