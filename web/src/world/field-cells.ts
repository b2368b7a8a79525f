/**
 * What is seen of a field in one chunk: a pure function.
 *
 * A cell is two words. The first: bits 0–4 x, 5–9 y, 10–14 z in the chunk, 15–17 kind, 18–19 and 20–21 the arrow along x and z
 * plus 1, 22–23 the move along y plus 1, 24–25 where in the voxel it lies. The second: the cost.
 */
import { BlockFlag, CHUNK_SIDE, EXITS, FieldMove, type Chunk, type FieldPart } from "@terrane/client";

/** What a cell says. */
export const CellKind = { move: 0, goal: 1, tooFar: 2, unreachable: 3 } as const;
/** Where in its voxel a cell lies. */
export const CellPlace = { floor: 0, surface: 1, layer: 2 } as const;

/** A chunk as far as it is known: what the field says, and its blocks. */
export interface CellChunk {
  readonly part: FieldPart | null;
  readonly blocks: Chunk | null;
}

/** A chunk with those above and below it. */
export interface CellColumn {
  readonly above: CellChunk;
  readonly here: CellChunk;
  readonly below: CellChunk;
  /** The flags of each block, by id. */
  readonly flags: ArrayLike<number>;
  /** Whose cells are shown also without a floor: the height, counted from the chunk's lowest voxels. */
  readonly layer: number | null;
}

/** Most cells of a chunk: floors over floors in caves come to a thousand or two. */
const MAX_CELLS = 8_192;
/** A move up or down is shown by where it goes on to the side, at most so many voxels further. */
const LONGEST_CLIMB = 16;
const words = new Uint32Array(2 * MAX_CELLS);

/** The cells of the chunk in the middle of a column. */
export function fieldCells(column: CellColumn): Uint32Array<ArrayBuffer> {
  const { part, blocks } = column.here;
  if (part === null || blocks === null) {
    return new Uint32Array(0);
  }
  let count = 0;
  for (let index = 0; index < part.moves.length && count < MAX_CELLS; index += 1) {
    const kind = kindOf(part.moves[index]!);
    const [x, y, z] = [index & 31, index >> 10, (index >> 5) & 31];
    const place = kind === null ? null : placeOf(column, x, y, z);
    if (kind !== null && place !== null && (place !== CellPlace.layer || kind <= CellKind.goal)) {
      const [dx, dy, dz] = kind === CellKind.move ? arrowAt(column, x, y, z) : [0, 0, 0];
      words[2 * count] = x | (y << 5) | (z << 10) | (kind << 15) | ((dx + 1) << 18) | ((dz + 1) << 20) | ((dy + 1) << 22) | (place << 24);
      words[2 * count + 1] = part.costs[index]!;
      count += 1;
    }
  }
  return words.slice(0, 2 * count);
}

/** What a field says of a voxel in place of which a cell may be; null where the mode can't be. */
function kindOf(move: number): number | null {
  switch (move) {
    case FieldMove.blocked: return null;
    case FieldMove.goal: return CellKind.goal;
    case FieldMove.tooFar: return CellKind.tooFar;
    case FieldMove.unreachable: return CellKind.unreachable;
    default: return CellKind.move;
  }
}

/** Where in a voxel its cell is seen; null if it is not: inside of what is solid, and in the air. */
function placeOf(column: CellColumn, x: number, y: number, z: number): number | null {
  const own = flagsAt(column, x, y, z);
  if ((own & BlockFlag.solid) !== 0) {
    return null;
  }
  if ((own & BlockFlag.liquid) !== 0) {
    return (flagsAt(column, x, y + 1, z) & (BlockFlag.liquid | BlockFlag.solid)) === 0 ? CellPlace.surface : null;
  }
  if ((flagsAt(column, x, y - 1, z) & BlockFlag.solid) !== 0) {
    return CellPlace.floor;
  }
  return y === column.layer ? CellPlace.layer : null;
}

/** The arrow at a voxel that has a move: to the side as the way goes on, and up or down as it begins. */
export function arrowAt(column: CellColumn, x: number, y: number, z: number): readonly [x: number, y: number, z: number] {
  let [at, begins] = [y, 0];
  for (let step = 0; step < LONGEST_CLIMB; step += 1) {
    const exit = EXITS[moveAt(column, x, at, z)];
    if (exit === undefined) {
      break;
    }
    begins = step === 0 ? exit[1] : begins;
    if (exit[0] !== 0 || exit[2] !== 0) {
      return [exit[0], begins, exit[2]];
    }
    at += exit[1];
  }
  return [0, begins, 0];
}

function chunkOf({ above, here, below }: CellColumn, y: number): CellChunk {
  return y < 0 ? below : y >= CHUNK_SIDE ? above : here;
}

function flagsAt(column: CellColumn, x: number, y: number, z: number): number {
  const block = chunkOf(column, y).blocks?.get(x | (z << 5) | ((y & 31) << 10));
  return block === undefined ? 0 : column.flags[block] ?? 0;
}

function moveAt(column: CellColumn, x: number, y: number, z: number): number {
  return chunkOf(column, y).part?.moves[x | (z << 5) | ((y & 31) << 10)] ?? FieldMove.blocked;
}
