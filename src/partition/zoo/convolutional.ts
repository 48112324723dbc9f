import type { Model } from "../../onnx/model.ts";
import { ShapeOnlyBuilder } from "./builder.ts";

/** LeCun et al. 1998, in Caffe's form: 28×28, 20 and 50 maps, 500 and 10 units. */
export function lenet(): Model {
  const b = new ShapeOnlyBuilder("lenet");
  let x = b.input("input", ["batch", 1, 28, 28]);
  x = b.maxPool("pool1", b.conv("conv1", x, 1, 20, { kernel: 5 }), { kernel: 2 });
  x = b.maxPool("pool2", b.conv("conv2", x, 20, 50, { kernel: 5 }), { kernel: 2 });
  x = b.relu(b.gemm("fc1", b.flatten(x), 800, 500));
  return b.build(b.gemm("fc2", x, 500, 10));
}

/**
 * Krizhevsky et al. 2012 in one tower, as AccPar's public code counts it: 224×224 and pooling after the second,
 * third and fifth convolution (55 → 27 → 13 → 6).
 */
export function alexnet(): Model {
  const b = new ShapeOnlyBuilder("alexnet");
  let x = b.input("input", ["batch", 3, 224, 224]);
  const pool = { kernel: 3, stride: 2 };
  x = b.relu(b.conv("conv1", x, 3, 96, { kernel: 11, stride: 4, padding: 2 }));
  x = b.maxPool("pool2", b.relu(b.conv("conv2", x, 96, 256, { kernel: 5, padding: 2 })), pool);
  x = b.maxPool("pool3", b.relu(b.conv("conv3", x, 256, 384, { kernel: 3, padding: 1 })), pool);
  x = b.relu(b.conv("conv4", x, 384, 384, { kernel: 3, padding: 1 }));
  x = b.maxPool("pool5", b.relu(b.conv("conv5", x, 384, 256, { kernel: 3, padding: 1 })), pool);
  x = b.relu(b.gemm("fc1", b.flatten(x), 9216, 4096));
  x = b.relu(b.gemm("fc2", x, 4096, 4096));
  return b.build(b.gemm("fc3", x, 4096, 1000));
}

/** Convolutions in each of the five stages; Simonyan and Zisserman 2014, columns A, B, D, E. */
const VGG: Readonly<Record<number, readonly number[]>> = {
  11: [1, 1, 2, 2, 2],
  13: [2, 2, 2, 2, 2],
  16: [2, 2, 3, 3, 3],
  19: [2, 2, 4, 4, 4],
};

export function vgg(depth: 11 | 13 | 16 | 19): Model {
  const b = new ShapeOnlyBuilder(`vgg-${depth}`);
  let x = b.input("input", ["batch", 3, 224, 224]);
  let from = 3;
  for (const [stage, layers] of (VGG[depth] as readonly number[]).entries()) {
    const to = Math.min(512, 64 << stage);
    for (let layer = 1; layer <= layers; layer++) {
      x = b.relu(b.conv(`conv${stage + 1}_${layer}`, x, from, to, { kernel: 3, padding: 1 }));
      from = to;
    }
    x = b.maxPool(`pool${stage + 1}`, x, { kernel: 2 });
  }
  x = b.relu(b.gemm("fc1", b.flatten(x), 25088, 4096));
  x = b.relu(b.gemm("fc2", x, 4096, 4096));
  return b.build(b.gemm("fc3", x, 4096, 1000));
}

/** Blocks in each of the four stages; He et al. 2015, table 1. */
const RESNET: Readonly<Record<number, readonly number[]>> = {
  18: [2, 2, 2, 2],
  34: [3, 4, 6, 3],
  50: [3, 4, 6, 3],
  101: [3, 4, 23, 3],
  152: [3, 8, 36, 3],
};

/** Residual network; BatchNorm is folded, and downsampling strides on the 3×3 convolution. */
export function resnet(depth: 18 | 34 | 50 | 101 | 152): Model {
  const b = new ShapeOnlyBuilder(`resnet-${depth}`);
  const bottleneck = depth >= 50;
  let x = b.input("input", ["batch", 3, 224, 224]);
  x = b.relu(b.conv("conv1", x, 3, 64, { kernel: 7, stride: 2, padding: 3 }));
  x = b.maxPool("pool1", x, { kernel: 3, stride: 2, padding: 1 });
  let from = 64;
  for (const [stage, blocks] of (RESNET[depth] as readonly number[]).entries()) {
    const width = 64 << stage;
    const to = bottleneck ? 4 * width : width;
    for (let block = 0; block < blocks; block++) {
      const name = `stage${stage + 1}.${block}`;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const skip =
        stride === 1 && from === to ? x : b.conv(`${name}.project`, x, from, to, { kernel: 1, stride });
      let y = x;
      if (bottleneck) {
        y = b.relu(b.conv(`${name}.conv1`, y, from, width, { kernel: 1 }));
        y = b.relu(b.conv(`${name}.conv2`, y, width, width, { kernel: 3, stride, padding: 1 }));
        y = b.conv(`${name}.conv3`, y, width, to, { kernel: 1 });
      } else {
        y = b.relu(b.conv(`${name}.conv1`, y, from, width, { kernel: 3, stride, padding: 1 }));
        y = b.conv(`${name}.conv2`, y, width, to, { kernel: 3, padding: 1 });
      }
      x = b.relu(b.node(`${name}.add`, "Add", [y, skip]));
      from = to;
    }
  }
  x = b.flatten(b.node("pool", "GlobalAveragePool", [x]));
  return b.build(b.gemm("fc", x, from, 1000));
}
