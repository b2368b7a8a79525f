/** What an undo would put back as padded chunks, so that the chunk mesher can do the outer faces of its voxels. */
import type { Chunk, Position } from "@terrane/client";
import { DrawClass, PADDED_SIDE, PADDED_VOXELS } from "./layout.ts";

/** Stands for a voxel that goes; the shader knows it. */
export const GONE = 0xfffe;

/** Every block is drawn as a whole voxel, plants and water too: it is a mark, and not the block. */
export const GHOST_CLASSES = new Uint8Array(0x1_0000).fill(DrawClass.filled, 1);

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

/** A chunk itself, and those that share a face with it; over edges and corners nothing is hidden. */
const NEAR: readonly Position[] = [[0, 0, 0], [-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]];

/** The chunks whose ghosts look otherwise if that of a chunk does: itself, and those beside it. */
export function chunksNear([x, y, z]: Position): Position[] {
  return NEAR.map(([dx, dy, dz]) => [x + dx, y + dy, z + dz]);
}

/** A chunk's ghost with the border of those beside it, between whose voxels there shall be no faces; null if nothing of it is to be seen. */
export function padGhost([x, y, z]: Position, source: GhostSource): Uint16Array<ArrayBuffer> | null {
  const voxels = new Uint16Array(PADDED_VOXELS);
  const painted = NEAR.map((beside) => paint(voxels, [x + beside[0], y + beside[1], z + beside[2]], beside, source));
  return painted[0]! > 0 ? voxels : null;
}

/** Puts the voxels of a chunk, or those at its border, into a padded one that is so many chunks beside it. Returns how many. */
function paint(voxels: Uint16Array, chunk: Position, [dx, dy, dz]: Position, source: GhostSource): number {
  const part = source.partAt(chunk);
  if (part === null) {
    return 0;
  }
  const { runs, held } = part;
  let painted = 0;
  const isInside = (place: number) => place >= 0 && place < PADDED_SIDE;
  for (let at = 0; at < runs.length; at += 3) {
    const block = runs[at + 2]!;
    for (let index = runs[at]!; index < runs[at]! + runs[at + 1]!; index += 1) {
      const [px, py, pz] = [(index & 31) + 1 + 32 * dx, (index >> 10) + 1 + 32 * dy, ((index >> 5) & 31) + 1 + 32 * dz];
      if (isInside(px) && isInside(py) && isInside(pz) && held?.get(index) !== block) {
        voxels[px + PADDED_SIDE * (pz + PADDED_SIDE * py)] = source.isSeen(block) ? block : GONE;
        painted += 1;
      }
    }
  }
  return painted;
}
