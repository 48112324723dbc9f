import fc from "fast-check";
import { expect, test } from "vitest";
import { type Block, decompose, isChain, SINK, SOURCE } from "../../src/partition/series-parallel.ts";
import { zooNetwork } from "../../src/partition/zoo.ts";
import { graphs, seriesParallel } from "./random-networks.ts";

const edge = (from: number, to: number) => ({ from, to });

/** A block in one line: nodes in series, branches in brackets. */
function said(block: Block): string {
  if (block.kind === "arc") return block.edges.length > 0 ? "-" : "";
  if (block.kind === "parallel") return `(${block.branches.map(said).join("|")})`;
  return block.blocks.map((part, i) => `${said(part)}${block.nodes[i] ?? ""}`).join("");
}

const contents = (block: Block): { nodes: number[]; edges: number[] } => {
  if (block.kind === "arc") return { nodes: [], edges: [...block.edges] };
  const parts = (block.kind === "series" ? block.blocks : block.branches).map(contents);
  return {
    nodes: [...(block.kind === "series" ? block.nodes : []), ...parts.flatMap(({ nodes }) => nodes)],
    edges: parts.flatMap(({ edges }) => edges),
  };
};

test("a chain, a skip and nested forks are said as blocks", () => {
  expect(said(decompose(3, [edge(0, 1), edge(1, 2)]) as Block)).toBe("0-1-2");
  expect(said(decompose(3, [edge(0, 1), edge(1, 2), edge(0, 2)]) as Block)).toBe("0(-|-1-)2");
  const nested = [edge(0, 1), edge(1, 2), edge(1, 3), edge(2, 4), edge(3, 4), edge(4, 5), edge(0, 5)];
  expect(said(decompose(6, nested) as Block)).toBe("0(-|-1(-2-|-3-)4-)5");
});

test("several sources and sinks meet in the source and the sink that every graph is given", () => {
  const block = decompose(3, [edge(0, 1)]) as Block;
  expect([block.from, block.to]).toEqual([SOURCE, SINK]);
  expect(block.kind).toBe("parallel");
  expect(contents(block).nodes.sort()).toEqual([0, 1, 2]);
});

test("a bridge between two branches is not series-parallel", () => {
  expect(decompose(4, [edge(0, 1), edge(0, 2), edge(1, 2), edge(1, 3), edge(2, 3)])).toBeNull();
});

test("every graph that grew in series and in parallel is decomposed, each node and edge once", () => {
  fc.assert(
    fc.property(seriesParallel(12), ({ nodes, edges }) => {
      const block = decompose(nodes.length, edges);
      if (block === null) throw new Error("not decomposed");
      const found = contents(block);
      expect(found.nodes.sort((a, b) => a - b)).toEqual(nodes.map((_, v) => v));
      expect(found.edges.sort((a, b) => a - b)).toEqual(edges.map((_, e) => e));
    }),
  );
});

test("of any graph nothing is lost, or it is said not to be series-parallel", () => {
  fc.assert(
    fc.property(graphs(8), ({ nodes, edges }) => {
      const block = decompose(nodes.length, edges);
      if (block === null) return;
      const found = contents(block);
      expect(found.nodes.sort((a, b) => a - b)).toEqual(nodes.map((_, v) => v));
      expect(found.edges.sort((a, b) => a - b)).toEqual(edges.map((_, e) => e));
      if (isChain(block)) expect(edges.length).toBe(Math.max(0, nodes.length - 1));
    }),
  );
});

test.each(["lenet", "resnet-18", "resnet-152", "bert-large"])("zoo:%s is series-parallel", async (name) => {
  const { nodes, edges } = await zooNetwork(name, 8);
  expect(decompose(nodes.length, edges)).not.toBeNull();
});
