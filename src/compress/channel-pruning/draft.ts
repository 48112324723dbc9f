import { freshNames, withAttributes } from "../../onnx/edit.ts";
import type { Graph, Model, Node, Tensor } from "../../onnx/model.ts";
import { Captures } from "../../onnx/scope.ts";
import { readTensor, tensorOf } from "../../onnx/tensor.ts";
import type { TensorValue } from "../../onnx/tensor-value.ts";

/** The model's own graph while it is edited: stored tensors by name, nodes in order. */
export class Draft {
  readonly fresh: (stem: string) => string;
  nodes: Node[];
  readonly #graph: Graph;
  readonly #tensors = new Map<string, Tensor>();
  readonly #values = new Map<string, TensorValue>();
  readonly #added = new Set<string>();
  /** Inputs that have a stored default. */
  readonly #replaceable: ReadonlySet<string> = new Set();
  readonly #captures = new Captures();

  constructor(model: Model) {
    this.#graph = model.graph;
    this.fresh = freshNames(model);
    if (model.irVersion >= 4) this.#replaceable = new Set(model.graph.inputs.map(({ name }) => name));
    this.nodes = [...model.graph.nodes];
    for (const tensor of model.graph.initializers) this.#tensors.set(tensor.name, tensor);
    for (const node of model.graph.nodes) {
      for (const { name, value } of node.opType === "Constant" ? node.attributes : []) {
        if (name === "value" && value.type === "tensor")
          this.#tensors.set(node.outputs[0] ?? "", value.value);
      }
    }
  }

  /** Whether the graph stores the tensor and nobody can replace it. */
  isStored(name: string): boolean {
    return (this.#tensors.has(name) && !this.#replaceable.has(name)) || this.#added.has(name);
  }

  get hasNew(): boolean {
    return this.#added.size > 0;
  }

  /** dims and type of a stored tensor as it is now. */
  about(name: string): Pick<TensorValue, "dims" | "dataType"> | undefined {
    return this.#values.get(name) ?? this.#tensors.get(name);
  }

  async read(name: string): Promise<TensorValue> {
    const known = this.#values.get(name);
    if (known) return known;
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new RangeError(`the graph stores no tensor "${name}"`);
    const value = await readTensor(tensor);
    return value;
  }

  write(name: string, value: TensorValue): void {
    this.#values.set(name, value);
  }

  /** A new initializer; its name. */
  add(stem: string, value: TensorValue): string {
    const name = this.fresh(stem);
    this.#added.add(name);
    this.#values.set(name, value);
    return name;
  }

  /** How often the graph's nodes read the value, those in subgraphs once together, and its outputs give it. */
  references(name: string): number {
    let count = this.#graph.outputs.filter((output) => output.name === name).length;
    for (const node of this.nodes) {
      const own = node.inputs.filter((input) => input === name).length;
      count += own > 0 ? own : this.#captures.ofNode(node).has(name) ? 1 : 0;
    }
    return count;
  }

  /** Replaces the node that has this first output. */
  edit(output: string, change: (node: Node) => Node): void {
    const at = this.indexOf(output);
    this.nodes[at] = change(this.nodes[at]!);
  }

  indexOf(output: string): number {
    const at = this.nodes.findIndex((node) => node.outputs.find((name) => name !== "") === output);
    if (at < 0) throw new RangeError(`no node makes "${output}"`);
    return at;
  }

  /** The graph with everything that was written; declared shapes of `changed` values are forgotten. */
  finish(changed: ReadonlySet<string>): Graph {
    const written = (tensor: Tensor, name: string): Tensor => {
      const value = this.#values.get(name);
      return value ? { ...tensorOf(tensor.name, value) } : tensor;
    };
    const nodes = this.nodes.map((node) => {
      const [name = ""] = node.outputs;
      const tensor = node.opType === "Constant" ? this.#tensors.get(name) : undefined;
      if (!tensor || !this.#values.has(name)) return node;
      return withAttributes(node, { value: { type: "tensor", value: written(tensor, name) } });
    });
    const now = this.#used(nodes);
    const unused = new Set([...this.#used(this.#graph.nodes)].filter((name) => !now.has(name)));
    return {
      ...this.#graph,
      nodes: nodes.filter(({ opType, outputs }) => opType !== "Constant" || !unused.has(outputs[0] ?? "")),
      initializers: [
        ...this.#graph.initializers
          .filter(({ name }) => !unused.has(name))
          .map((tensor) => written(tensor, tensor.name)),
        ...[...this.#added].map((name) => tensorOf(name, this.#values.get(name)!)),
      ],
      inputs: this.#graph.inputs
        .filter(({ name }) => !unused.has(name) || !this.#tensors.has(name))
        .map((input) => {
          const value = this.#values.get(input.name);
          return value && input.type?.kind === "tensor"
            ? { ...input, type: { ...input.type, shape: value.dims } }
            : input;
        }),
      valueInfo: this.#graph.valueInfo.filter(({ name }) => !changed.has(name) && !this.#values.has(name)),
    };
  }

  #used(nodes: readonly Node[]): Set<string> {
    const used = new Set(this.#graph.outputs.map(({ name }) => name));
    for (const node of nodes) for (const name of this.#captures.ofNode(node)) used.add(name);
    return used;
  }
}
