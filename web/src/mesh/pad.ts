/** Builds the padded chunk that the mesher takes: 32³ voxels and a border from the 26 neighbours. */
import type { Chunk } from "@terrane/client";
import { PADDED_SIDE, PADDED_VOXELS, UNKNOWN_BLOCK } from "./layout.ts";

/** The chunk itself is at 13; index = (dx + 1) + 3·(dz + 1) + 9·(dy + 1). */
export type Neighbourhood = readonly (Chunk | null)[];

/** Along one axis: the padded coordinates that a neighbour at offset −1, 0 or 1 fills, and its own first. */
const SPANS = [
  { from: 0, to: 1, local: 31 },
  { from: 1, to: 33, local: 0 },
  { from: 33, to: 34, local: 0 },
] as const;

const scratch = new Uint16Array(32_768);

/** A fresh padded array; neighbours that are null become UNKNOWN_BLOCK. */
export function padChunk(neighbourhood: Neighbourhood): Uint16Array<ArrayBuffer> {
  const padded = new Uint16Array(PADDED_VOXELS);
  fillPadded(padded, (place) => readerOf(neighbourhood[place] ?? null, place === 13));
  return padded;
}

/** The same for a byte a voxel, in local-index order; chunks that have none get `missing`. */
export function padBytes(neighbourhood: readonly (Uint8Array | null)[], missing: number): Uint8Array<ArrayBuffer> {
  const padded = new Uint8Array(PADDED_VOXELS);
  fillPadded(padded, (place) => {
    const values = neighbourhood[place] ?? null;
    return values === null ? () => missing : (index) => values[index]!;
  });
  return padded;
}

function fillPadded(padded: Uint16Array | Uint8Array, readerAt: (place: number) => (index: number) => number): void {
  for (let place = 0; place < 27; place += 1) {
    const spanX = SPANS[place % 3]!;
    const spanZ = SPANS[Math.floor(place / 3) % 3]!;
    const spanY = SPANS[Math.floor(place / 9)]!;
    const read = readerAt(place);
    for (let y = spanY.from; y < spanY.to; y += 1) {
      for (let z = spanZ.from; z < spanZ.to; z += 1) {
        const row = PADDED_SIDE * (z + PADDED_SIDE * y);
        const local = ((spanY.local + y - spanY.from) << 10) | ((spanZ.local + z - spanZ.from) << 5) | spanX.local;
        for (let x = spanX.from; x < spanX.to; x += 1) {
          padded[row + x] = read(local + x - spanX.from);
        }
      }
    }
  }
}

function readerOf(chunk: Chunk | null, isWhole: boolean): (index: number) => number {
  if (chunk === null) {
    return () => UNKNOWN_BLOCK;
  }
  if (isWhole) {
    chunk.decode(scratch);
    return (index) => scratch[index]!;
  }
  return (index) => chunk.get(index);
}
