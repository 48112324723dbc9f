import type { NewAttribute } from "../../onnx/edit.ts";
import type { ConvolutionGeometry, MatrixGeometry, RecurrentGeometry } from "../../onnx/layer-geometry.ts";
import { assertForm, type Form, type FormTarget } from "./form.ts";

/** The part that a weight plays in its chain; the left factor is the one whose rows come out. */
export type WeightRole = "weight" | "basis" | "coefficients" | "right" | "core" | "left";

/** Attributes that a chain may set. JSON. */
export type StepAttribute = Extract<NewAttribute, { type: "int" | "ints" | "string" }>;

/** One node of a chain. JSON. */
export interface ChainStep {
  readonly op: string;
  /** Attributes to set; null takes one away. */
  readonly attributes: Readonly<Record<string, StepAttribute | null>>;
  /** Shape of the weight and which of the node's first two inputs it is; null for a node without one. */
  readonly weight: StepWeight | null;
}

export interface StepWeight {
  readonly role: WeightRole;
  /** Shape that the node sees. */
  readonly dims: readonly number[];
  readonly input: 0 | 1;
  /**
   * What is stored is the first of so many equal parts along the first axis, which a Tile repeats: runtimes fold it when
   * they load the model, so that it costs neither bytes nor time.
   */
  readonly repeats: number;
}

/** Shape that is stored. */
export function storedDims({ dims: [first = 1, ...others], repeats }: StepWeight): readonly number[] {
  return [first / repeats, ...others];
}

/**
 * The chain of a form, in the order in which its nodes run. The last step is the layer's own node with another weight
 * and these attributes changed, so that its bias and whatever else it has stay as they are.
 * @throws FormError
 */
export function chainOf(form: Form, target: FormTarget): ChainStep[] {
  assertForm(form, target);
  const { geometry } = target;
  if (form.kind === "dense") return [own(target, {}, "weight", target.dims)];
  if (geometry.kind === "convolution") {
    return geometry.transposed
      ? transposedChain(form, target, geometry)
      : convolutionChain(form, target, geometry);
  }
  if (form.kind !== "low_rank") return [];
  return geometry.kind === "recurrent"
    ? recurrentChain(form.rank, target, geometry)
    : productChain(form.rank, target, geometry);
}

/** The layer's node itself. */
function own(
  { op, geometry }: FormTarget,
  attributes: ChainStep["attributes"],
  role: WeightRole,
  dims: readonly number[],
): ChainStep {
  const input = geometry.kind === "matrix" && geometry.left ? 0 : 1;
  return { op, attributes, weight: { role, dims, input, repeats: 1 } };
}

function convolutionChain(form: Form, { dims }: FormTarget, geometry: ConvolutionGeometry): ChainStep[] {
  const kernel = dims.slice(2);
  const ones = kernel.map(() => 1);
  const { groups, outputChannels: outputs, inputChannels } = geometry;
  const inputs = inputChannels / groups;
  const all = kernel.map(() => true);
  const conv = (
    role: WeightRole,
    channels: readonly number[],
    axes: readonly boolean[],
    count = groups,
    repeats = 1,
  ): ChainStep => {
    const shape = kernel.map((size, axis) => (axes[axis] ? size : 1));
    const attributes = windowAttributes(geometry, shape, axes, count);
    return { op: "Conv", attributes, weight: { role, dims: [...channels, ...shape], input: 1, repeats } };
  };
  const none = ones.map(() => false);
  switch (form.kind) {
    case "dense":
      return [];
    case "kernel_sharing":
      return form.order === "basis_first"
        ? [
            conv("basis", [inputChannels * form.bases, 1], all, inputChannels, inputChannels),
            conv("coefficients", [outputs, inputs * form.bases], none),
          ]
        : [
            conv("coefficients", [outputs * form.bases, inputs], none),
            conv("basis", [outputs, form.bases], all, outputs, outputs),
          ];
    case "low_rank":
      return [conv("right", [groups * form.rank, inputs], all), conv("left", [outputs, form.rank], none)];
    case "spatial": {
      const first = kernel.map((_, axis) => axis === form.axis);
      return [
        conv("right", [groups * form.rank, inputs], first),
        conv(
          "left",
          [outputs, form.rank],
          first.map((is) => !is),
        ),
      ];
    }
    case "tucker": {
      const right = conv("right", [groups * form.inputRank, inputs], none);
      if (form.outputRank === null) return [right, conv("core", [outputs, form.inputRank], all)];
      return [
        right,
        conv("core", [groups * form.outputRank, form.inputRank], all),
        conv("left", [outputs, form.outputRank], none),
      ];
    }
  }
}

/**
 * The window of a step that works along some of the axes: their strides, dilations and padding, nothing on the
 * others. Zero padding between steps is exact, since all steps but the last have no bias; SAME padding is decided
 * axis by axis from the sizes that the step sees, which are the layer's.
 */
function windowAttributes(
  { window }: ConvolutionGeometry,
  kernel: readonly number[],
  axes: readonly boolean[],
  groups: number,
): ChainStep["attributes"] {
  const works = axes.some((is) => is);
  const padded = works && window.autoPad === "NOTSET";
  const along = (list: readonly number[], otherwise: number) =>
    list.map((one, i) => (axes[i % axes.length] ? one : otherwise));
  return {
    kernel_shape: { type: "ints", value: kernel },
    strides: unless(along(window.strides, 1), 1),
    dilations: unless(along(window.dilations, 1), 1),
    pads: padded ? unless(along(window.pads, 0), 0) : null,
    auto_pad: works && !padded ? { type: "string", value: window.autoPad } : null,
    group: groups === 1 ? null : { type: "int", value: groups },
  };
}

/** null where every entry is the attribute's default. */
function unless(value: readonly number[], usual: number): StepAttribute | null {
  return value.every((one) => one === usual) ? null : { type: "ints", value };
}

/** The matrix of a transposed convolution sums over its input channels alone: 1×1 to the rank, then the node. */
function transposedChain(form: Form, target: FormTarget, geometry: ConvolutionGeometry): ChainStep[] {
  if (form.kind !== "low_rank") return [];
  const [inputs = 0, outputs = 0, ...kernel] = target.dims;
  const { groups } = geometry;
  const ones = kernel.map(() => 1);
  const right: ChainStep = {
    op: "Conv",
    attributes: {
      kernel_shape: { type: "ints", value: ones },
      group: groups === 1 ? null : { type: "int", value: groups },
    },
    weight: { role: "right", dims: [groups * form.rank, inputs / groups, ...ones], input: 1, repeats: 1 },
  };
  return [right, own(target, {}, "left", [groups * form.rank, outputs, ...kernel])];
}

/** Y = (X·Rᵀ)·Lᵀ, or L·(R·X) where the weight is the left factor of the product. */
function productChain(rank: number, target: FormTarget, geometry: MatrixGeometry): ChainStep[] {
  const batch = target.dims.slice(0, -2);
  const { left, inputFeatures, outputFeatures } = geometry;
  const steps: ChainStep[] = [];
  if (target.otherTransposed) steps.push({ op: "Transpose", attributes: {}, weight: null });
  const right = left ? [rank, inputFeatures] : [inputFeatures, rank];
  steps.push({
    op: "MatMul",
    attributes: {},
    weight: { role: "right", dims: [...batch, ...right], input: left ? 0 : 1, repeats: 1 },
  });
  const last = left ? [outputFeatures, rank] : [rank, outputFeatures];
  const untransposed: ChainStep["attributes"] = target.op === "Gemm" ? { transA: null, transB: null } : {};
  steps.push(own(target, untransposed, "left", [...batch, ...last]));
  return steps;
}

/** X·Rᵀ in front of the node; both directions read it. */
function recurrentChain(rank: number, target: FormTarget, geometry: RecurrentGeometry): ChainStep[] {
  const { directions, gates, hidden, inputFeatures } = geometry;
  return [
    {
      op: "MatMul",
      attributes: {},
      weight: { role: "right", dims: [inputFeatures, rank], input: 1, repeats: 1 },
    },
    own(target, {}, "left", [directions, gates * hidden, rank]),
  ];
}
