import { tensorAttribute } from "../../onnx/edit.ts";
import type { Dim, Graph, Model, Node, Tensor } from "../../onnx/model.ts";
import { Captures, orderedNodes, standardOpset } from "../../onnx/scope.ts";
import { isStatic, MAX_ELEMENTS } from "../../onnx/shapes/facts.ts";
import type { Shapes } from "../../onnx/shapes/shapes.ts";
import { type Axes, type Axis, Channels } from "./channels.ts";
import { type CountedList, type NodeAxes, opaque, type Rule, says } from "./rule.ts";
import { elementwiseRules } from "./rules/elementwise.ts";
import { linearRules } from "./rules/linear.ts";
import { movementRules } from "./rules/movement.ts";
import { normalizationRules } from "./rules/normalization.ts";
import { recurrentRules } from "./rules/recurrent.ts";
import { reductionRules } from "./rules/reduction.ts";
import { reshapeRules } from "./rules/reshape.ts";
import { shapeRules } from "./rules/shape.ts";
import { spatialRules } from "./rules/spatial.ts";

const RULES: ReadonlyMap<string, Rule> = new Map(
  [
    elementwiseRules,
    linearRules,
    movementRules,
    normalizationRules,
    recurrentRules,
    reductionRules,
    reshapeRules,
    shapeRules,
    spatialRules,
  ].flatMap((table) => Object.entries(table)),
);

/** Operators that pass a short list of sizes on. */
const MOVES: ReadonlySet<string> = new Set(["Cast", "Identity", "Squeeze", "Unsqueeze"]);
/** Most nodes between a list of sizes and its constants. */
const MAX_CHAIN = 16;

/** Rounds in which split axes are followed along other candidates. */
const MAX_ROUNDS = 6;

/** A number that counts channels, and the node (by its first output) that has it. */
export interface Count extends CountedList {
  readonly node: string;
}

/** The channels of every value of the model's own graph. */
export interface Labels {
  readonly channels: Channels;
  readonly axes: ReadonlyMap<string, Axes>;
  readonly counts: readonly Count[];
  /** Dense tensors that the graph stores: initializers and Constant nodes. */
  readonly stored: ReadonlyMap<string, Tensor>;
}

/**
 * Follows channels through the model's own graph: every axis of a stored tensor has channels of its own, and each
 * node says which of them belong together (a dependency graph as in DepGraph, CVPR 2023, but an entry an index).
 */
export function labelChannels(model: Model, shapes: Shapes): Labels {
  const choices = new Map<Node, number>();
  for (let round = 1; ; round++) {
    const labeller = new Labeller(model, shapes, choices);
    if (!labeller.chooseOthers() || round === MAX_ROUNDS) return labeller;
  }
}

class Labeller implements Labels {
  readonly channels = new Channels();
  readonly axes = new Map<string, Axes>();
  readonly counts: Count[] = [];
  readonly stored: ReadonlyMap<string, Tensor>;
  readonly #graph: Graph;
  readonly #shapes: Shapes;
  readonly #opset: number;
  readonly #choices: Map<Node, number>;
  readonly #chosen: { node: Node; candidates: number; axis: Int32Array }[] = [];
  readonly #users = new Map<string, { node: Node; input: number }[]>();
  readonly #producers = new Map<string, Node>();
  /** Names that the graph gives out or that subgraphs read. */
  readonly #seen: ReadonlySet<string>;

  constructor(model: Model, shapes: Shapes, choices: Map<Node, number>) {
    const { graph } = model;
    this.#graph = graph;
    this.#shapes = shapes;
    this.#opset = standardOpset(model) ?? 0;
    this.#choices = choices;
    this.stored = storedTensors(graph);
    const captures = new Captures();
    const seen = new Set(graph.outputs.map(({ name }) => name));
    for (const node of graph.nodes) {
      const inputs = new Set(node.inputs);
      for (const name of captures.ofNode(node)) if (!inputs.has(name)) seen.add(name);
      for (const name of node.outputs) this.#producers.set(name, node);
      node.inputs.forEach((name, input) => {
        const users = this.#users.get(name);
        if (users) users.push({ node, input });
        else this.#users.set(name, [{ node, input }]);
      });
    }
    this.#seen = seen;
    this.#labelStored(model);
    for (const node of orderedNodes(graph, captures)) this.#follow(node, captures);
    for (const { name } of graph.outputs) this.#fixValue(name, `they come out of the model as "${name}"`);
  }

  /** Moves on to the next candidate wherever a choice led nowhere; false where there is nothing more to try. */
  chooseOthers(): boolean {
    let any = false;
    for (const { node, candidates, axis } of this.#chosen) {
      const choice = this.#choices.get(node) ?? 0;
      if (choice + 1 >= candidates || !this.channels.isFixed(axis)) continue;
      this.#choices.set(node, choice + 1);
      any = true;
    }
    return any;
  }

  #labelStored(model: Model): void {
    const { graph } = model;
    const fed = new Set(model.irVersion >= 4 ? graph.inputs.map(({ name }) => name) : []);
    for (const [name, tensor] of this.stored) {
      const axes = tensor.dims.map((dim) => this.channels.fresh(dim));
      this.axes.set(name, axes);
      for (const axis of axes) if (axis?.length === 1) this.channels.fix(axis, "there is only one of them");
      if (fed.has(name)) this.#fixValue(name, `callers may replace "${name}"`);
      if (tensor.data.kind === "external" && !tensor.data.span) {
        this.#fixValue(name, "its weight is in an external file that did not come with the model");
      }
    }
    for (const { values, dims } of graph.sparseInitializers) this.axes.set(values.name, opaque(dims.length));
    for (const { name } of graph.inputs) if (!this.axes.has(name)) this.#makeOpaque(name);
  }

  #follow(node: Node, captures: Captures): void {
    if (node.opType === "Constant" && this.stored.has(node.outputs[0] ?? "")) return;
    const standard = node.domain === "" || node.domain === "ai.onnx";
    const rule = standard ? RULES.get(node.opType) : undefined;
    const context = this.#context(node);
    const outputs = rule?.(context) ?? [];
    const asked = node.outputs.filter((name) => name !== "").length;
    if (!rule || outputs.length < asked) {
      const reason = says(node, "is not followed");
      for (const name of captures.ofNode(node)) this.#fixValue(name, reason);
      for (const axes of outputs) for (const axis of axes ?? []) this.channels.fix(axis, reason);
    }
    node.outputs.forEach((name, i) => {
      if (name === "") return;
      const axes = outputs[i];
      if (axes) this.axes.set(name, axes);
      else this.#makeOpaque(name);
    });
  }

  #makeOpaque(name: string): void {
    const rank = this.#shapes.of(this.#graph, name)?.dims.length;
    if (rank !== undefined) this.axes.set(name, opaque(rank));
  }

  #fixValue(name: string, reason: string): void {
    for (const axis of this.axes.get(name) ?? []) this.channels.fix(axis, reason);
  }

  #constantEntries(name: string, steps: number): readonly (number | null)[] | null {
    const dims = this.#shapes.of(this.#graph, name)?.dims;
    const node = this.#producers.get(name);
    if (this.stored.has(name) || !node) {
      const elements = this.stored.has(name) ? this.#shapes.elementsOf(this.#graph, name) : undefined;
      if (elements && isStatic(elements)) return elements;
    } else if (steps > 0 && node.opType === "Concat") {
      const parts = node.inputs.map((input) => this.#constantEntries(input, steps - 1));
      return parts.some((part) => part === null) ? null : parts.flatMap((part) => part!);
    } else if (steps > 0 && MOVES.has(node.opType)) {
      return this.#constantEntries(node.inputs[0] ?? "", steps - 1);
    }
    const length = dims?.length === 0 ? 1 : dims?.length === 1 ? dims[0] : null;
    return typeof length === "number" && length <= MAX_ELEMENTS ? new Array<null>(length).fill(null) : null;
  }

  #context(node: Node): NodeAxes {
    const name = (input: number) => node.inputs[input] ?? "";
    const dimsOf = (value: string): readonly Dim[] | undefined =>
      value === "" ? undefined : this.#shapes.of(this.#graph, value)?.dims;
    const axesOf = (input: number) => (name(input) === "" ? undefined : this.axes.get(name(input)));
    return {
      node,
      opset: this.#opset,
      channels: this.channels,
      has: (input) => name(input) !== "",
      axes: axesOf,
      axis: (input, axis): Axis | undefined => axesOf(input)?.[axis],
      dims: (input) => dimsOf(name(input)),
      outputDims: (output) => dimsOf(node.outputs[output] ?? ""),
      isStored: (input) => this.stored.has(name(input)),
      numbers: (input) => {
        const elements = name(input) === "" ? undefined : this.#shapes.elementsOf(this.#graph, name(input));
        return elements && isStatic(elements) ? elements : null;
      },
      constantEntries: (input) => this.#constantEntries(name(input), MAX_CHAIN),
      users: (output) =>
        this.#seen.has(output)
          ? null
          : (this.#users.get(output) ?? []).map(({ node: user, input }) => ({
              node: this.#context(user),
              input,
            })),
      fix: (reason, input) => {
        for (const [at, value] of node.inputs.entries()) {
          if (input === undefined || input === at) this.#fixValue(value, reason);
        }
      },
      counts: (list, at) => {
        this.counts.push({ ...list, node: firstOutput((at ?? { node }).node) });
      },
      choose: (candidates, axis) => {
        const choice = Math.min(this.#choices.get(node) ?? 0, candidates.length - 1);
        const chosen = axis(candidates[choice]!);
        this.#chosen.push({ node, candidates: candidates.length, axis: chosen });
        return chosen;
      },
    };
  }
}

/** Names a node in the model for good. */
export function firstOutput(node: Node): string {
  return node.outputs.find((name) => name !== "") ?? "";
}

function storedTensors(graph: Graph): Map<string, Tensor> {
  const stored = new Map<string, Tensor>();
  for (const tensor of graph.initializers) stored.set(tensor.name, tensor);
  for (const node of graph.nodes) {
    const tensor = node.opType === "Constant" ? tensorAttribute(node, "value") : undefined;
    if (tensor && node.outputs[0]) stored.set(node.outputs[0], tensor);
  }
  return stored;
}
