/** Padding: the border of a padded chunk holds the neighbours' nearest voxels, in every direction. */
import { Chunk, CHUNK_VOXELS, packVoxels } from "@terrane/client";
import { UNKNOWN_BLOCK } from "../src/mesh/layout.ts";
import { padChunk } from "../src/mesh/pad.ts";

const valueAt = (x: number, y: number, z: number) => Math.abs((x * 7 + y * 131 + z * 1_733) % 50_000);

function chunkAt(dx: number, dy: number, dz: number): Chunk {
  const ids = Uint16Array.from({ length: CHUNK_VOXELS }, (_, index) =>
    valueAt((index & 31) + 32 * dx, (index >> 10) + 32 * dy, ((index >> 5) & 31) + 32 * dz));
  return Chunk.fromSnapshot(packVoxels(ids));
}

test("all 34³ voxels are the world's, and what is not held is unknown", () => {
  const around = Array.from({ length: 27 }, (_, place) =>
    place === 26 ? null : chunkAt((place % 3) - 1, Math.floor(place / 9) - 1, (Math.floor(place / 3) % 3) - 1));
  const padded = padChunk(around);
  const wrong = [...padded.keys()].filter((index) => {
    const [x, z, y] = [(index % 34) - 1, (Math.floor(index / 34) % 34) - 1, Math.floor(index / 1_156) - 1];
    const isUnknown = x === 32 && y === 32 && z === 32;
    return padded[index] !== (isUnknown ? UNKNOWN_BLOCK : valueAt(x, y, z));
  });
  expect(wrong).toEqual([]);
});
