import { intAttribute, intsAttribute, nodeOf, withAttributes } from "../../../onnx/edit.ts";
import { isStandard, NEWEST_OPSET, type Pass, type Rewriting } from "../pass.ts";
import type { Scope } from "../scope.ts";

/** A product of two matrices and a constant bias after it become one Gemm, which computes the same sums. */
export const matmulAdd: Pass = {
  name: "matmul-add",
  opsets: [7, NEWEST_OPSET],
  operators: ["MatMul"],
  async run(scope, rewriting) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      if (!isStandard(node, "MatMul")) continue;
      const [product] = node.outputs;
      const next = product ? scope.soleUser(product) : undefined;
      if (!next || !isStandard(next.node, "Add")) continue;
      const bias = next.node.inputs.find((name) => name !== product);
      const columns =
        rank2(scope, rewriting, node.inputs[0]!) && columnsOf(scope, rewriting, node.inputs[1]!);
      const tensor = bias ? scope.constant(bias) : undefined;
      if (!bias || !tensor || !columns) continue;
      const row = tensor.dims.length === 0 || tensor.dims.slice(0, -1).every((size) => size === 1);
      if (!row || tensor.dims.length > 2 || ![1, columns].includes(tensor.dims.at(-1) ?? 1)) continue;
      const gemm = nodeOf("Gemm", [...node.inputs, bias], next.node.outputs);
      scope.remove(next.index);
      scope.replace(index, { ...gemm, name: node.name });
      changes++;
    }
    return changes;
  },
};

function rank2(scope: Scope, rewriting: Rewriting, name: string): boolean {
  return rewriting.fact(scope, name)?.dims?.length === 2;
}

function columnsOf(scope: Scope, rewriting: Rewriting, name: string): number | null {
  const dims = scope.constant(name)?.dims ?? rewriting.fact(scope, name)?.dims;
  const columns = dims?.length === 2 ? dims[1] : null;
  return typeof columns === "number" ? columns : null;
}

/** A transposed operand of a Gemm is read the other way round. */
export const transposeGemm: Pass = {
  name: "transpose-gemm",
  opsets: [7, NEWEST_OPSET],
  operators: ["Gemm"],
  async run(scope) {
    let changes = 0;
    for (const [index, node] of scope.nodes()) {
      if (!isStandard(node, "Transpose")) continue;
      const perm = intsAttribute(node, "perm", null);
      const [output] = node.outputs;
      const user = output ? scope.soleUser(output) : undefined;
      if (!user || !isStandard(user.node, "Gemm") || perm?.length !== 2 || perm[0] !== 1) continue;
      const operand = user.node.inputs.indexOf(output!);
      if (operand > 1) continue;
      const name = operand === 0 ? "transA" : "transB";
      const flipped = intAttribute(user.node, name, 0) ? 0 : 1;
      const gemm = withAttributes(user.node, { [name]: { type: "int", value: flipped } });
      scope.replace(user.index, {
        ...gemm,
        inputs: gemm.inputs.map((input, i) => (i === operand ? node.inputs[0]! : input)),
      });
      scope.remove(index);
      changes++;
    }
    return changes;
  },
};
