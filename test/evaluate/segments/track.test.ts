import fc from "fast-check";
import { expect, test } from "vitest";
import { Room, Track } from "../../../src/evaluate/segments/track.ts";
import { DataType } from "../../../src/onnx/data-type.ts";
import type { TensorValue } from "../../../src/onnx/tensor-value.ts";
import { MemoryScratch } from "./answers.ts";

const value: fc.Arbitrary<TensorValue> = fc.nat(5).chain((length) =>
  fc
    .oneof(
      fc
        .float32Array({ minLength: length, maxLength: length })
        .map((data) => ({ dataType: DataType.FLOAT, data })),
      fc
        .uint8Array({ minLength: length, maxLength: length })
        .map((data) => ({ dataType: DataType.BOOL, data })),
      fc
        .bigInt64Array({ minLength: length, maxLength: length })
        .map((data) => ({ dataType: DataType.INT64, data })),
      fc
        .uint16Array({ minLength: length, maxLength: length })
        .map((data) => ({ dataType: DataType.FLOAT16, data })),
    )
    .map(({ dataType, data }): TensorValue => ({ dataType, dims: [length], data })),
);

test("values come back as they were, from memory or from where they were put aside, and leave nothing behind", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(value, { minLength: 1 }), fc.nat(200), async (values, bytes) => {
      const scratch = new MemoryScratch();
      const room = new Room(bytes);
      const tracks = [new Track(room, scratch), new Track(room, scratch)];
      for (const track of tracks) {
        for (const one of values) await track.add(one);
        await track.seal();
      }
      for (let reading = 0; reading < 2; reading++) {
        for (const track of tracks) {
          for (const [feed, one] of values.entries()) expect(await track.at(feed)).toEqual(one);
        }
      }
      for (const track of tracks) await track.drop();
      expect(scratch.held.size).toBe(0);
      expect(room.take(bytes)).toBe(true);
    }),
  );
});

test("what exceeds the room is put aside in pages of 4 MiB at least, but for the last", async () => {
  const scratch = new MemoryScratch();
  const track = new Track(new Room(5 * 2 ** 20), scratch);
  const one = (i: number) => ({
    dataType: DataType.FLOAT,
    dims: [2 ** 18],
    data: new Float32Array(2 ** 18).fill(i),
  });
  for (let i = 0; i < 14; i++) await track.add(one(i));
  await track.seal();
  expect([...scratch.held.values()].map(({ length }) => length / 2 ** 20)).toEqual([4, 4, 2]);
  for (const i of [0, 3, 4, 13, 7]) expect((await track.at(i)).data[2 ** 17]).toBe(i);
});

test("texts stay in memory, and so does everything where there is no other place", async () => {
  const scratch = new MemoryScratch();
  const texts = { dataType: DataType.STRING, dims: [2], data: ["a", "ä"] };
  const number = { dataType: DataType.FLOAT, dims: [], data: new Float32Array([7]) };
  for (const [track, one] of [
    [new Track(new Room(0), scratch), texts],
    [new Track(new Room(0), null), number],
  ] as const) {
    await track.add(one);
    await track.seal();
    expect(await track.at(0)).toEqual(one);
  }
  expect(scratch.puts).toBe(0);
});
