/** Chunks: every form reads back, and runs widen the form where they must. */
import { Chunk, CHUNK_VOXELS, packVoxels, SnapshotForm } from "../src/index.ts";

const withDistinct = (count: number) => Uint16Array.from({ length: CHUNK_VOXELS }, (_, i) => (i * 31) % count);

test.each([
  [1, SnapshotForm.uniform], [2, SnapshotForm.u4], [16, SnapshotForm.u4], [17, SnapshotForm.u8],
  [256, SnapshotForm.u8], [257, SnapshotForm.u16],
])("%i different blocks", (count, form) => {
  const ids = withDistinct(count);
  const snapshot = packVoxels(ids);
  expect(snapshot.form).toBe(form);
  const chunk = Chunk.fromSnapshot(snapshot);
  expect(chunk.decode()).toEqual(ids);
  expect(Chunk.fromSnapshot(chunk.voxels).decode(), "kept, and taken up again").toEqual(ids);
  expect(Array.from(ids, (_, index) => chunk.get(index))).toEqual([...ids]);
});

test("runs of ever new blocks widen a uniform chunk to u16 and keep every other voxel", () => {
  const model = new Uint16Array(CHUNK_VOXELS).fill(3);
  const chunk = Chunk.fromSnapshot(packVoxels(model));
  expect(chunk.uniform).toBe(3);
  for (let block = 10; block < 400; block += 1) {
    const first = (block * 7_919) % 32_000;
    const length = 1 + (block % 40);
    model.fill(block, first, first + length);
    chunk.applyRuns(Uint16Array.of(first, length, block));
    if (block % 50 === 0) {
      expect(chunk.decode()).toEqual(model);
    }
  }
  expect(chunk.decode()).toEqual(model);
  expect(chunk.uniform).toBeNull();
});
