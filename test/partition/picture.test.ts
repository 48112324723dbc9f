import { expect, test } from "vitest";
import { planPicture } from "../../src/partition/picture.ts";
import { planNetwork } from "../../src/partition/plan.ts";
import { chain } from "./random-networks.ts";

/** Names of elements in order, checking that every one is closed. */
function elements(svg: string): string[] {
  const open: string[] = [];
  const all: string[] = [];
  for (const [, closing, name, empty] of svg.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)) {
    if (closing) expect(open.pop()).toBe(name);
    else {
      all.push(name as string);
      if (!empty) open.push(name as string);
    }
  }
  expect(open).toEqual([]);
  return all;
}

const mix = [
  { accelerator: "tpu-v3", count: 2, link: { bandwidth: 1e12, latency: 0 } },
  { accelerator: "tpu-v2", count: 2, link: { bandwidth: 1e12, latency: 0 } },
];

test("a picture shows each layer's time, what it moves, every kind of device and every baseline", () => {
  const plan = planNetwork(chain([4096, 4096, 4096, 4096], 8192), mix, { mode: "training" });
  const svg = planPicture(plan);
  const rectangles = elements(svg).filter((name) => name === "rect").length;
  const [layers, rows, legend, compared] = [3, 2, 4, 7];
  expect(rectangles).toBe(layers * 2 + layers * rows + legend + compared);
  expect(svg).toContain("tpu-v3 × 2");
  expect(svg).toContain("prefers-color-scheme:dark");
  expect(svg).not.toMatch(/(href|src)=|url\(/);
});

test("names from a model cannot break out of the picture", () => {
  const network = chain([8, 8, 8]);
  const nodes = network.nodes.map((node) => ({ ...node, name: `</text><script>"'&\u0000${node.name}` }));
  const svg = planPicture(planNetwork({ ...network, nodes }, mix));
  expect(elements(svg)).not.toContain("script");
  expect(svg).toContain("&lt;script&gt;&quot;&#39;&amp; fc1");
});

test("very deep models and very many devices stay drawable", () => {
  const deep = planPicture(planNetwork(chain(Array(1001).fill(64)), [{ accelerator: "h100", count: 1 }]));
  expect(elements(deep).filter((name) => name === "rect").length).toBeLessThan(600);
  expect(planPicture(planNetwork(chain([8, 8]), [{ accelerator: "h100", count: 4096 }]))).toContain(
    "h100 × ",
  );
});

test("an empty plan has a picture too", () => {
  const network = { name: "empty", batch: 1, nodes: [], edges: [], notes: [] };
  expect(elements(planPicture(planNetwork(network, mix)))).toContain("svg");
});
