import type {
  Attribute,
  Dim,
  FunctionDefinition,
  Graph,
  Model,
  Node,
  SparseTensor,
  Tensor,
} from "../model.ts";
import { readSparseTensor } from "../sparse.ts";
import { readTensor } from "../tensor.ts";
import { elementsOf, withContents } from "./contents.ts";
import { demandedTensors } from "./demand.ts";
import { contradict, unifyDims } from "./dims.ts";
import type { Element, Fact, TensorFact } from "./facts.ts";
import { declaredFact, tensor } from "./facts.ts";
import { canonicalDomain, ruleFor } from "./registry.ts";
import type { BodyFacts } from "./rule.ts";
import { RuleContext } from "./rule.ts";
import type { ScopeFacts, ShapeWarning } from "./shapes.ts";
import { Shapes } from "./shapes.ts";

export interface InferOptions {
  /** Sizes of the model's symbolic dimensions. */
  readonly bindings?: Readonly<Record<string, number>>;
  /** Shapes of graph inputs, by name, in place of the declared ones; their symbols are bound to these sizes. */
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
}

/** Nodes inferred at most, beyond one pass over the model: nested loops and functions repeat their bodies. */
const EXTRA_NODES = 200_000;
/** Functions that call functions are followed this deep. */
const MAX_CALL_DEPTH = 16;
const MAX_WARNINGS = 100;
/** Elements of small tensors that are followed in all. */
const ELEMENT_BUDGET = 2 ** 22;
/** Values of more dimensions are not followed: no operator of a real model comes near. */
const MAX_RANK = 64;

/**
 * Types and shapes of every value of the model, subgraphs included, from the rules in rules/. Unknown operators
 * give unknown outputs; what the file itself declares (value_info, outputs) fills in where a rule knows less,
 * and where the two differ the rule counts and a warning says so. Never fails on what a model contains.
 *
 * Only the small tensors that decide shapes are read.
 */
export async function inferShapes(model: Model, options: InferOptions = {}): Promise<Shapes> {
  return (await shapeInference(model))(options);
}

/** {@link inferShapes} for several sets of sizes: what has to be read of the model is read once. */
export async function shapeInference(model: Model): Promise<(options: InferOptions) => Shapes> {
  const contents = await readContents(model);
  return (options) => new Inference(model, options, contents).run();
}

type Contents = ReadonlyMap<Tensor | SparseTensor, readonly Element[]>;

async function readContents(model: Model): Promise<Contents> {
  const demand = demandedTensors(model);
  const contents = new Map<Tensor | SparseTensor, readonly Element[]>();
  for (const wanted of demand.tensors) {
    const elements = elementsOf(await readTensor(wanted));
    if (elements) contents.set(wanted, elements);
  }
  for (const wanted of demand.sparse) {
    const elements = elementsOf(await readSparseTensor(wanted));
    if (elements) contents.set(wanted, elements);
  }
  return contents;
}

/** Values by name, inside the values of the graphs around. */
interface Scope {
  readonly graph: Graph | null;
  readonly facts: Map<string, Fact>;
  readonly outer: Scope | null;
  readonly callDepth: number;
}

class Inference {
  readonly #model: Model;
  readonly #contents: Contents;
  readonly #bindings: ReadonlyMap<string, number>;
  readonly #inputShapes: ReadonlyMap<string, readonly number[]>;
  /** True where the caller replaced a declared size, so that declared sizes further on may be stale. */
  readonly #replaced: boolean;
  readonly #opsets: ReadonlyMap<string, number>;
  readonly #functions: ReadonlyMap<string, FunctionDefinition>;
  readonly #scopes = new Map<Graph, ScopeFacts>();
  readonly #warnings = new Map<string, ShapeWarning>();
  readonly #elements = { left: ELEMENT_BUDGET };
  #budget: number;

  constructor(model: Model, options: InferOptions, contents: Contents) {
    this.#model = model;
    this.#contents = contents;
    this.#inputShapes = new Map(Object.entries(options.inputShapes ?? {}));
    const bindings = new Map(Object.entries(options.bindings ?? {}));
    let replaced = false;
    for (const { name, type } of model.graph.inputs) {
      const given = this.#inputShapes.get(name);
      const declared = type?.kind === "tensor" ? type.shape : undefined;
      for (const [axis, dim] of declared?.entries() ?? []) {
        const size = given?.[axis];
        if (size === undefined) continue;
        if (typeof dim === "string" && !bindings.has(dim)) bindings.set(dim, size);
        if (contradict(dim, size)) replaced = true;
      }
    }
    this.#bindings = bindings;
    this.#replaced = replaced;
    this.#opsets = new Map(
      model.opsetImports.map(({ domain, version }) => [canonicalDomain(domain), version]),
    );
    this.#functions = new Map(
      model.functions.map((definition) => [
        `${canonicalDomain(definition.domain)}:${definition.name}`,
        definition,
      ]),
    );
    this.#budget = EXTRA_NODES;
  }

  run(): Shapes {
    this.#inferGraph(this.#model.graph, null, null);
    return new Shapes(this.#scopes, [...this.#warnings.values()]);
  }

  /** Facts of the graph's outputs, given facts of its inputs (null: the declared ones, for the model's own graph). */
  #inferGraph(
    graph: Graph,
    outer: Scope | null,
    inputs: readonly (Fact | undefined)[] | null,
  ): readonly Fact[] {
    const scope: Scope = { graph, facts: new Map(), outer, callDepth: outer?.callDepth ?? 0 };
    this.#scopes.set(graph, { facts: scope.facts, outer: outer?.graph ?? null });
    for (const [i, { name, type }] of graph.inputs.entries()) {
      const declared = declaredFact(type, this.#bind);
      const given = inputs ? inputs[i] : this.#givenInput(name, declared);
      const fact = given && declared ? this.#combine(given, declared) : (given ?? declared);
      if (fact) scope.facts.set(name, fact);
    }
    for (const initializer of graph.initializers) {
      scope.facts.set(initializer.name, this.#constant(initializer.dataType, initializer.dims, initializer));
    }
    for (const sparse of graph.sparseInitializers) {
      scope.facts.set(sparse.values.name, this.#constant(sparse.values.dataType, sparse.dims, sparse));
    }
    const declared = new Map(
      [...graph.valueInfo, ...graph.outputs].map(
        ({ name, type }) => [name, declaredFact(type, this.#stated)] as const,
      ),
    );
    for (const node of graph.nodes) this.#inferNode(node, scope, declared);
    return graph.outputs.map(({ name }) => lookUp(scope, name) ?? declared.get(name) ?? tensor(0, null));
  }

  #constant(dataType: number, dims: readonly number[], source: Tensor | SparseTensor): TensorFact {
    const elements = this.#contents.get(source);
    return elements ? { kind: "tensor", dataType, dims, elements } : tensor(dataType, dims);
  }

  #givenInput(name: string, declared: Fact | undefined): Fact | undefined {
    const dims = this.#inputShapes.get(name);
    return dims && tensor(declared?.kind === "tensor" ? declared.dataType : 0, dims);
  }

  readonly #bind = (dim: Dim): Dim => (typeof dim === "string" ? (this.#bindings.get(dim) ?? dim) : dim);

  /** Sizes that the file states for computed values hold only for the inputs that it declares. */
  readonly #stated = (dim: Dim): Dim => (this.#replaced && typeof dim === "number" ? null : this.#bind(dim));

  #inferNode(node: Node, scope: Scope, declared: ReadonlyMap<string, Fact | undefined>): void {
    const results = this.#apply(node, scope);
    for (const [i, name] of node.outputs.entries()) {
      if (name === "") continue;
      const inferred = results[i] && sound(results[i]);
      const stated = declared.get(name);
      const fact = inferred && stated ? this.#combine(inferred, stated, node, name) : (inferred ?? stated);
      if (fact) scope.facts.set(name, fact);
    }
  }

  #apply(node: Node, scope: Scope): readonly (Fact | undefined)[] {
    if (this.#budget-- <= -this.#model.graph.nodes.length) return [];
    const inputs = node.inputs.map((name) => (name === "" ? undefined : lookUp(scope, name)));
    const definition = this.#functions.get(`${canonicalDomain(node.domain)}:${node.opType}`);
    if (definition) return this.#call(definition, node, inputs, scope);
    const rule = ruleFor(node.domain, node.opType);
    if (!rule) return [];
    const context = new RuleContext(
      node,
      this.#opsets.get(canonicalDomain(node.domain)) ?? 1,
      inputs,
      {
        body: (name, given) => {
          const graph = node.attributes.find((attribute) => attribute.name === name)?.value;
          return graph?.type === "graph" ? this.#inferBody(graph.value, scope, given) : null;
        },
        contents: (attribute) => this.#contents.get(attribute),
      },
      (detail, multipleOf) => this.#warn(node, detail, multipleOf),
    );
    return withContents(context, rule(context), this.#elements);
  }

  #inferBody(graph: Graph, scope: Scope, inputs: readonly (Fact | undefined)[]): BodyFacts {
    const before = new Set(this.#warnings.keys());
    const outputs = this.#inferGraph(graph, scope, inputs);
    const added = [...this.#warnings.keys()].filter((key) => !before.has(key));
    return {
      outputs,
      consistent: added.length === 0,
      forget: () => {
        for (const key of added) this.#warnings.delete(key);
      },
    };
  }

  /** A model-local function: its body with the call's attributes put in. */
  #call(
    definition: FunctionDefinition,
    node: Node,
    inputs: readonly (Fact | undefined)[],
    outer: Scope,
  ): readonly (Fact | undefined)[] {
    if (outer.callDepth >= MAX_CALL_DEPTH) return [];
    const scope: Scope = { graph: null, facts: new Map(), outer: null, callDepth: outer.callDepth + 1 };
    for (const [i, name] of definition.inputs.entries()) {
      const fact = inputs[i];
      if (fact) scope.facts.set(name, fact);
    }
    const given = new Map(node.attributes.map((attribute) => [attribute.name, attribute]));
    const nothing = new Map<string, Fact>();
    for (const inner of definition.nodes) {
      const attributes = inner.attributes.flatMap((attribute): Attribute[] => {
        if (!attribute.refAttrName) return [attribute];
        const actual = given.get(attribute.refAttrName);
        return actual ? [{ ...actual, name: attribute.name }] : [];
      });
      this.#inferNode({ ...inner, attributes }, scope, nothing);
    }
    return definition.outputs.map((name) => scope.facts.get(name));
  }

  /** What a rule knows, with what the file declares where the rule knows less. */
  #combine(inferred: Fact, declared: Fact, node?: Node, name?: string): Fact {
    if (inferred.kind !== "tensor" || declared.kind !== "tensor") {
      return inferred.kind === "tensor" && !inferred.dims && inferred.dataType === 0 ? declared : inferred;
    }
    const dataType = inferred.dataType || declared.dataType;
    if (node && inferred.dataType && declared.dataType && inferred.dataType !== declared.dataType) {
      this.#warn(node, `${name} is declared with another type than it has`);
    }
    if (!declared.dims) return { ...inferred, dataType };
    if (!inferred.dims) return { ...declared, dataType };
    const stated = declared.dims;
    const differ =
      inferred.dims.length !== stated.length ||
      inferred.dims.some((dim, axis) => contradict(dim, stated[axis]));
    if (differ) {
      if (node) {
        this.#warn(
          node,
          `${name} is declared as [${stated.join(", ")}] but is [${inferred.dims.join(", ")}]`,
        );
      }
      return { ...inferred, dataType };
    }
    const dims = inferred.dims.map((dim, axis) => unifyDims(dim, stated[axis] ?? null));
    return { ...inferred, dataType, dims };
  }

  #warn(node: Node, detail: string, multipleOf?: number): void {
    const name = node.name || node.outputs.find((output) => output !== "") || node.opType;
    if (this.#warnings.size < MAX_WARNINGS)
      this.#warnings.set(`${name}\n${detail}`, { node: name, detail, multipleOf });
  }
}

function lookUp(start: Scope, name: string): Fact | undefined {
  for (let scope: Scope | null = start; scope; scope = scope.outer) {
    const fact = scope.facts.get(name);
    if (fact) return fact;
  }
  return undefined;
}

/** Sizes that no tensor can have (negative, fractional, past 2^53) are not known. */
function sound(fact: Fact): Fact {
  if (fact.kind !== "tensor" || !fact.dims) return fact;
  if (fact.dims.length > MAX_RANK) return tensor(fact.dataType, null);
  const isSound = (dim: Dim) => typeof dim !== "number" || (Number.isSafeInteger(dim) && dim >= 0);
  if (fact.dims.every(isSound)) return fact;
  return tensor(
    fact.dataType,
    fact.dims.map((dim) => (isSound(dim) ? dim : null)),
  );
}
