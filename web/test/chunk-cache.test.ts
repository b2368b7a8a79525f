/** Chunks kept between visits: what is written comes back, in bounds, and storage that fails costs only what it kept. */
import { chunkKey, packVoxels, type Position } from "@terrane/client";
import { ChunkCache, isWhole, type CacheDoor, type KeptChunk } from "../src/world/chunk-cache.ts";

const SHAPE = { form: "radius", center: [0, 0, 0], horizontal: 4, vertical: 2 } as const;
const chunkOf = (position: Position, count = 1): KeptChunk =>
  ({ position, version: { epoch: 1, count }, voxels: packVoxels(new Uint16Array(32_768).fill(count)) });
const MOST = 256;
const nothingHeld = () => false;

/** A storage in memory that can be told to fail from the n-th call on. */
class Memory implements CacheDoor {
  readonly worlds = new Map<string, Map<string, KeptChunk & { writtenAt: number }>>();
  callsLeft = Infinity;

  private of(world: string): Map<string, KeptChunk & { writtenAt: number }> {
    this.callsLeft -= 1;
    if (this.callsLeft < 0) {
      throw new Error("the disk is full");
    }
    return this.worlds.get(world) ?? this.worlds.set(world, new Map()).get(world)!;
  }

  async list(world: string) {
    return [...this.of(world).values()];
  }
  async read(world: string, positions: readonly Position[]) {
    const kept = this.of(world);
    return positions.map((position) => kept.get(chunkKey(position))).filter((chunk) => chunk !== undefined);
  }
  async write(world: string, chunks: readonly KeptChunk[], writtenAt: number) {
    const kept = this.of(world);
    chunks.forEach((chunk) => kept.set(chunkKey(chunk.position), { ...chunk, writtenAt }));
  }
  async remove(world: string, positions: readonly Position[]) {
    const kept = this.of(world);
    positions.forEach((position) => kept.delete(chunkKey(position)));
  }
}

async function writeAll(cache: ChunkCache, nowMs: number, count = 1): Promise<void> {
  while (cache.unwrittenCount > 0) {
    await cache.writeSome(nowMs, (position) => chunkOf(position, count));
  }
}

test("what has changed is written, and comes back on the next visit, of the same world only", async () => {
  const memory = new Memory();
  const cache = new ChunkCache(memory);
  cache.open("a");
  const positions: Position[] = Array.from({ length: 200 }, (_, index) => [index - 100, 0, 0]);
  positions.forEach((position) => cache.changed(position));
  await writeAll(cache, 7, 3);
  expect(cache.size).toBe(200);
  const next = new ChunkCache(memory);
  next.open("a");
  const taken = await next.take(SHAPE, ([x]) => x === 2);
  expect(taken.map(({ position }) => position[0]).sort((a, b) => a - b)).toEqual([-4, -3, -2, -1, 0, 1, 3, 4]);
  expect(taken.every(({ version }) => version.count === 3)).toBe(true);
  next.open("b");
  expect(await next.take(SHAPE, nothingHeld)).toEqual([]);
});

test("a chunk that is not held any more, or not known to be right, is not written", async () => {
  const memory = new Memory();
  const cache = new ChunkCache(memory);
  cache.open("a");
  cache.changed([0, 0, 0]);
  cache.changed([1, 0, 0]);
  await cache.writeSome(1, (position) => (position[0] === 0 ? null : chunkOf(position)));
  expect([...memory.worlds.get("a")!.keys()]).toEqual(["1,0,0"]);
});

test("no more is kept than fits, and what was written longest ago goes first", async () => {
  const memory = new Memory();
  const cache = new ChunkCache(memory, MOST);
  cache.open("a");
  await cache.take(SHAPE, nothingHeld);
  for (let index = 0; index < 3 * MOST; index += 1) {
    cache.changed([index, 0, 0]);
    if (index % 64 === 63) {
      await cache.writeSome(index, (position) => chunkOf(position));
    }
  }
  const kept = memory.worlds.get("a")!;
  expect(kept.size).toBeLessThanOrEqual(MOST);
  expect(kept.size).toBe(cache.size);
  expect(kept.has("0,0,0")).toBe(false);
  expect(kept.has(`${3 * MOST - 1},0,0`) || cache.unwrittenCount > 0).toBe(true);
});

test.each([0, 1, 2, 3])("storage that fails after %i calls turns keeping off and hurts nobody", async (calls) => {
  const memory = new Memory();
  const cache = new ChunkCache(memory);
  memory.callsLeft = calls;
  cache.open("a");
  for (let round = 0; round < 3; round += 1) {
    cache.changed([round, 0, 0]);
    await cache.writeSome(round, (position) => chunkOf(position));
    expect(await cache.take(SHAPE, nothingHeld)).toBeInstanceOf(Array);
  }
  expect(cache.isOn).toBe(false);
  expect([cache.size, cache.unwrittenCount]).toEqual([0, 0]);
});

test("without storage nothing is kept", async () => {
  const cache = new ChunkCache(null);
  cache.open("a");
  cache.changed([0, 0, 0]);
  await cache.writeSome(1, (position) => chunkOf(position));
  expect([cache.isOn, cache.size, cache.unwrittenCount]).toEqual([false, 0, 0]);
});

test("what is no chunk is not taken for one", () => {
  const good = chunkOf([0, 0, 0]);
  expect(isWhole(good)).toBe(true);
  const bad: Partial<KeptChunk["voxels"]>[] = [{ form: 9 }, { voxels: new Uint8Array(5) }, { table: new Uint16Array(2) }];
  bad.forEach((part) => expect(isWhole({ ...good, voxels: { ...good.voxels, ...part } })).toBe(false));
  expect(isWhole({ ...good, version: { epoch: 0, count: 0 } })).toBe(false);
});
