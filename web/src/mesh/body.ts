/** Meshes of falling bodies: cut into cells of 32³ voxels from the body's corner, so that the chunk mesher can do them. */
import type { BodyRun, Position } from "@terrane/client";
import { DrawClass, FACES, PADDED_SIDE, PADDED_VOXELS, type ChunkMesh } from "./layout.ts";
import { meshChunk, OPEN, packPlace } from "./mesher.ts";

/** One cell's quads; the cell's place is counted in cells from the corner. */
export interface BodyCell {
  readonly cell: Position;
  readonly mesh: ChunkMesh;
}

/** Bodies of so few voxels are meshed face by face: a landslide is hundreds of single blocks. */
const FEW_VOXELS = 48;

/** Meshes a body. */
export function meshBody(runs: readonly BodyRun[], classes: Uint8Array): BodyCell[] {
  const isFew = runs.reduce((sum, { length }) => sum + length, 0) <= FEW_VOXELS;
  const isFilled = runs.every(({ block }) => classes[block] === DrawClass.filled);
  const isSmall = runs.every(({ first: [x, y, z], length }) => x + length <= 32 && y < 32 && z < 32);
  return isFew && isFilled && isSmall ? meshFew(runs) : meshCells(runs, classes);
}

function meshFew(runs: readonly BodyRun[]): BodyCell[] {
  const blocks = new Map<number, number>();
  const keyOf = (x: number, y: number, z: number) => (x + 1) | ((y + 1) << 8) | ((z + 1) << 16);
  eachVoxel(runs, (x, y, z, block) => blocks.set(keyOf(x, y, z), block));
  const words: number[] = [];
  eachVoxel(runs, (x, y, z, block) => FACES.forEach(({ axis, sign }, direction) => {
    const beside = [x, y, z];
    beside[axis]! += sign;
    if (!blocks.has(keyOf(beside[0]!, beside[1]!, beside[2]!))) {
      words.push(packPlace([x, y, z], 1, 1, direction, 0), block | (OPEN << 16));
    }
  }));
  return [{ cell: [0, 0, 0], mesh: { filled: Uint32Array.from(words), translucent: new Uint32Array(0) } }];
}

function meshCells(runs: readonly BodyRun[], classes: Uint8Array): BodyCell[] {
  const cells = new Map<string, { cell: Position; voxels: Uint16Array }>();
  eachVoxel(runs, (x, y, z) => {
    const cell: Position = [x >> 5, y >> 5, z >> 5];
    const key = cell.join(",");
    if (!cells.has(key)) {
      cells.set(key, { cell, voxels: new Uint16Array(PADDED_VOXELS) });
    }
  });
  // A voxel at the side of a cell lies in the padding of the next one as well.
  eachVoxel(runs, (x, y, z, block) => {
    for (const cx of cellsOf(x)) {
      for (const cy of cellsOf(y)) {
        for (const cz of cellsOf(z)) {
          const at = x - 32 * cx + 1 + PADDED_SIDE * (z - 32 * cz + 1 + PADDED_SIDE * (y - 32 * cy + 1));
          const found = cells.get(`${cx},${cy},${cz}`);
          if (found !== undefined) {
            found.voxels[at] = block;
          }
        }
      }
    }
  });
  return [...cells.values()].map(({ cell, voxels }) => ({ cell, mesh: meshChunk(voxels, classes) }));
}

function cellsOf(part: number): readonly number[] {
  const cell = part >> 5;
  return (part & 31) === 0 ? [cell - 1, cell] : (part & 31) === 31 ? [cell, cell + 1] : [cell];
}

function eachVoxel(runs: readonly BodyRun[], visit: (x: number, y: number, z: number, block: number) => void): void {
  for (const { first: [x, y, z], length, block } of runs) {
    for (let step = 0; step < length; step += 1) {
      visit(x + step, y, z, block);
    }
  }
}
