import { DataType } from "../../onnx/data-type.ts";
import { freshNames, graphAttribute } from "../../onnx/edit.ts";
import { inlinedBranch } from "../../onnx/inlined-branch.ts";
import type { Model, Node, Tensor, ValueInfo } from "../../onnx/model.ts";
import type { Feeds, Runtime } from "../../runtime/runtime.ts";
import type { TakenBranches } from "../network.ts";
import { answering, answersOf, bare } from "./answers.ts";
import { ExecutionError } from "./errors.ts";

/** A model with the branches that its inputs take in place of its Ifs. */
export interface WithoutIfs {
  readonly model: Model;
  /** For a node that was renamed: the node of the given model. */
  readonly origins: ReadonlyMap<Node, Node>;
  readonly taken: TakenBranches;
  /** Feeds that take the same branches as the first one. */
  readonly feeds: readonly Feeds[];
}

/**
 * Puts the branch that the feeds take in place of every If of the graph, of those inside branches too.
 *
 * @throws ExecutionError `unsupported`; RuntimeLoadError or RuntimeRunError where a condition cannot be computed
 */
export async function withoutIfs(model: Model, runtime: Runtime, all: readonly Feeds[]): Promise<WithoutIfs> {
  const origins = new Map<Node, Node>();
  const taken = new Map<Node, string>();
  const fresh = freshNames(model);
  let [current, feeds] = [model, all];
  for (;;) {
    const { graph } = current;
    const branching = graph.nodes.filter(({ opType, domain }) => opType === "If" && isStandard(domain));
    if (branching.length === 0) return { model: current, origins, taken, feeds };
    const conditions = [...new Set(branching.map(({ inputs }) => inputs[0] ?? ""))];
    const answers = await answersOf(
      answering(
        current,
        conditions.map((name) => typed(name, DataType.BOOL)),
      ),
      runtime,
      feeds,
    );
    const choices = answers.map((answer) => conditions.map((name) => Boolean(answer[name]?.data[0])));
    feeds = feeds.filter((_, i) => `${choices[i]}` === `${choices[0]}`);
    const choice = new Map(conditions.map((name, i) => [name, choices[0]?.[i] ?? false]));
    const initializers: Tensor[] = [...graph.initializers];
    const nodes = graph.nodes.flatMap((node) => {
      if (!branching.includes(node)) return [node];
      const name = choice.get(node.inputs[0] ?? "") ? "then_branch" : "else_branch";
      const branch = graphAttribute(node, name);
      if (!branch || branch.sparseInitializers.length > 0) {
        throw new ExecutionError("unsupported", `the If ${node.name} has a branch that cannot be inlined`);
      }
      const inlined = inlinedBranch(branch, node, fresh);
      initializers.push(...inlined.initializers);
      taken.set(origins.get(node) ?? node, name);
      // An If that was inside another has been renamed, its branches too: they are told by the If that it was.
      const given = graphAttribute(origins.get(node) ?? node, name)?.nodes ?? [];
      for (const [i, inner] of given.entries()) origins.set(inlined.nodes[i] as Node, inner);
      return inlined.nodes;
    });
    current = answering({ ...current, graph: { ...bare(graph), nodes, initializers } }, graph.outputs);
  }
}

function isStandard(domain: string): boolean {
  return domain === "" || domain === "ai.onnx";
}

function typed(name: string, dataType: number): ValueInfo {
  return { name, type: { kind: "tensor", dataType } };
}
