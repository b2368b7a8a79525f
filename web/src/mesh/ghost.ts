/** Meshes of what an undo would put back: the outer faces of its voxels, chunk by chunk, by the chunk mesher. */
import type { Chunk, Position } from "@terrane/client";
import { DrawClass, PADDED_SIDE, PADDED_VOXELS } from "./layout.ts";
import { meshChunk } from "./mesher.ts";

/** Stands for a voxel that goes; the shader knows it. */
export const GONE = 0xfffe;

/** Every block is drawn as a whole voxel, plants and water too: it is a mark, and not the block. */
const CLASSES = new Uint8Array(0x1_0000).fill(DrawClass.filled, 1);

/** The ghost of a chunk. */
export interface GhostPart {
  /** Runs of what would be there, three values each: first local index, length, block id. */
  readonly runs: Uint16Array;
  /** What is there: a voxel that is already what it would become is not marked. Null where that is not held. */
  readonly held: Pick<Chunk, "get"> | null;
}

/** What ghosts are made of. */
export interface GhostSource {
  /** Null where nothing would change. */
  partAt(chunk: Position): GhostPart | null;
  /** Whether a block is drawn at all. */
  isSeen(block: number): boolean;
}

const BESIDE = [-1, 0, 1] as const;

/** The quads of a chunk's ghost; between two of its voxels there are none, across chunks too. */
export function meshGhost([x, y, z]: Position, source: GhostSource): Uint32Array<ArrayBuffer> {
  const voxels = new Uint16Array(PADDED_VOXELS);
  for (const dy of BESIDE) {
    for (const dz of BESIDE) {
      for (const dx of BESIDE) {
        paint(voxels, [x + dx, y + dy, z + dz], [dx, dy, dz], source);
      }
    }
  }
  return meshChunk(voxels, CLASSES).filled;
}

/** Puts the voxels of a chunk, or those at its border, into a padded one that is so many chunks beside it. */
function paint(voxels: Uint16Array, chunk: Position, [dx, dy, dz]: Position, source: GhostSource): void {
  const part = source.partAt(chunk);
  if (part === null) {
    return;
  }
  const { runs, held } = part;
  const isInside = (place: number) => place >= 0 && place < PADDED_SIDE;
  for (let at = 0; at < runs.length; at += 3) {
    const block = runs[at + 2]!;
    for (let index = runs[at]!; index < runs[at]! + runs[at + 1]!; index += 1) {
      const [px, py, pz] = [(index & 31) + 1 + 32 * dx, (index >> 10) + 1 + 32 * dy, ((index >> 5) & 31) + 1 + 32 * dz];
      if (isInside(px) && isInside(py) && isInside(pz) && held?.get(index) !== block) {
        voxels[px + PADDED_SIDE * (pz + PADDED_SIDE * py)] = source.isSeen(block) ? block : GONE;
      }
    }
  }
}
