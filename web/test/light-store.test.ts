/** Light by chunk: what must be drawn anew when it comes, what stands beyond it, and guesses until it comes. */
import { CHUNK_VOXELS, localIndex, type Position } from "@terrane/client";
import { PADDED_SIDE } from "../src/mesh/layout.ts";
import { LightStore } from "../src/world/light-store.ts";

const HERE: Position = [0, 0, 0];
const EAST: Position = [1, 0, 0];
const ABOVE: Position = [0, 1, 0];

const uniform = (value: number) => new Uint8Array(CHUNK_VOXELS).fill(value);
const isOpaque = (block: number) => block === 1;

/** The padded values' place of a voxel of the chunk, −1 and 32 for what lies beyond it. */
const padded = (x: number, y: number, z: number) => x + 1 + PADDED_SIDE * (z + 1 + PADDED_SIDE * (y + 1));

test("a chunk is drawn anew when its light is another, and one beside it when the side between them is", () => {
  const store = new LightStore();
  expect(store.take(HERE, uniform(0xf0))).toEqual([HERE]);
  expect(store.take(HERE, uniform(0xf0)), "the same again").toEqual([]);
  expect(store.take(EAST, uniform(0xf0)), "daylight was assumed there").toEqual([EAST]);
  const inner = uniform(0xf0);
  inner[localIndex(16, 5, 5)] = 0;
  expect(store.take(EAST, inner)).toEqual([EAST]);
  const side = inner.slice();
  side[localIndex(0, 5, 5)] = 0x30;
  expect(store.take(EAST, side)).toEqual([EAST, HERE]);
  expect(store.take(ABOVE, uniform(0)), "the sides to it").toEqual([ABOVE, HERE]);
  expect(store.take([9, 9, 9], null), "a world that knows no light").toEqual([]);
  expect([store.size, store.litCount]).toEqual([4, 3]);
});

test("the border of a chunk has its neighbours' light, and daylight where that has not come", () => {
  const store = new LightStore();
  expect(store.padded(HERE), "nothing has come").toBeNull();
  store.take(HERE, uniform(0x12));
  const beside = uniform(0x34);
  beside[localIndex(0, 7, 9)] = 0x56;
  store.take(EAST, beside);
  const values = store.padded(HERE)!;
  expect([values[padded(0, 0, 0)], values[padded(31, 31, 31)]]).toEqual([0x12, 0x12]);
  expect([values[padded(32, 7, 9)], values[padded(32, 7, 8)], values[padded(-1, 7, 9)]]).toEqual([0x56, 0x34, 0xf0]);
});

test("what is dug is as light as what is beside it lets it be, until the server tells", () => {
  const store = new LightStore();
  const ground = uniform(0);
  for (let index = 0; index < CHUNK_VOXELS; index += 1) {
    ground[index] = index >> 10 < 16 ? 0 : 0xf0;
  }
  ground[localIndex(3, 16, 3)] = 0x9c;
  store.take(HERE, ground);
  const dig = (x: number, y: number, z: number, block: number) =>
    store.guess(HERE, Uint16Array.of(localIndex(x, y, z), 1, block), isOpaque);
  dig(8, 15, 8, 0);
  expect(store.at(8, 15, 8), "under the open sky").toBe(0xf0);
  dig(8, 14, 8, 0);
  dig(9, 14, 8, 0);
  expect([store.at(8, 14, 8), store.at(9, 14, 8)], "down the shaft, and sideways").toEqual([0xf0, 0xe0]);
  dig(3, 15, 3, 0);
  expect(store.at(3, 15, 3), "one less of both").toBe(0x8b);
  dig(8, 20, 8, 1);
  expect(store.at(8, 20, 8), "where something was put").toBe(0);
  expect(ground[localIndex(8, 15, 8)], "what came is left as it is").toBe(0);
  store.guess(EAST, Uint16Array.of(0, 1, 0), isOpaque);
  expect(store.at(32, 0, 0), "nothing is guessed where nothing has come").toBeNull();
});

test("what is forgotten is not known any more", () => {
  const store = new LightStore();
  store.take(HERE, uniform(1));
  store.take(EAST, uniform(2));
  store.take(ABOVE, null);
  store.forget(HERE);
  expect([store.has(HERE), store.at(0, 0, 0), store.at(32, 0, 0)]).toEqual([false, null, 2]);
  expect(store.clear(), "those that were shaded").toEqual([EAST]);
  expect(store.size).toBe(0);
});
