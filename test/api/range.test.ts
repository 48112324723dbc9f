import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { matchesEtag, rangeOf } from "../../src/api/range.ts";

describe("Range", () => {
  test.each([
    [undefined, { kind: "whole" }],
    ["bytes=0-0", { kind: "part", offset: 0, length: 1 }],
    ["bytes=10-", { kind: "part", offset: 10, length: 90 }],
    ["bytes=-10", { kind: "part", offset: 90, length: 10 }],
    ["bytes=-1000", { kind: "part", offset: 0, length: 100 }],
    ["bytes=90-1000", { kind: "part", offset: 90, length: 10 }],
    ["bytes=100-", { kind: "unsatisfiable" }],
    ["bytes=-0", { kind: "unsatisfiable" }],
    ["bytes=9-3", { kind: "whole" }],
    ["bytes=0-1,5-6", { kind: "whole" }],
    ["bytes=-", { kind: "whole" }],
    ["items=0-1", { kind: "whole" }],
    ["bytes=99999999999999999999-", { kind: "whole" }],
  ])("%s of 100 bytes", (header, answer) => {
    expect(rangeOf(header, 100)).toEqual(answer);
  });

  test("is never outside the representation, whatever the header", () => {
    fc.assert(
      fc.property(
        fc.nat(1000),
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `bytes=${text}`),
        ),
        (size, header) => {
          const range = rangeOf(header, size);
          if (range.kind !== "part") return;
          expect(range.length).toBeGreaterThan(0);
          expect(range.offset).toBeGreaterThanOrEqual(0);
          expect(range.offset + range.length).toBeLessThanOrEqual(size);
        },
      ),
    );
  });
});

test.each([
  [undefined, false],
  ['"a"', true],
  ['W/"a"', true],
  ['"b", "a"', true],
  ['"b"', false],
  ["*", true],
])("If-None-Match: %s", (header, matches) => {
  expect(matchesEtag(header, '"a"')).toBe(matches);
});
