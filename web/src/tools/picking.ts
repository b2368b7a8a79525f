/** Where clicks lead: the voxel where a body would be, and the ends of a way as they are clicked one after the other. */
import { BlockFlag, type Position } from "@terrane/client";
import type { RayHit } from "../player/raycast.ts";

/** How far tools reach whose clicks name places. */
export const PLACE_REACH = 224;
/** A click on a wall means the floor below it, if it is so near: what a body on foot may drop. */
const WALL_DROP = 3;
/** A click into water means its surface, if it is so near. */
const DIVE = 64;

/** The free voxel at the side that was clicked, where a body would stand or float. `flagsAt` gives the flags of a voxel's block. */
export function standingVoxel({ voxel, normal }: RayHit, flagsAt: (x: number, y: number, z: number) => number): Position {
  const isSolid = ([x, y, z]: Position) => (flagsAt(x, y, z) & BlockFlag.solid) !== 0;
  const isLiquid = ([x, y, z]: Position) => (flagsAt(x, y, z) & BlockFlag.liquid) !== 0;
  // What is not solid, as a plant, is where the body would be.
  const free = isSolid(voxel) ? moved(voxel, normal) : voxel;
  if (isLiquid(free)) {
    return firstWhere(free, 1, DIVE, (at) => !isLiquid(moved(at, [0, 1, 0]))) ?? free;
  }
  return firstWhere(free, -1, normal[1] === 1 ? 0 : WALL_DROP, (at) => isSolid(moved(at, [0, -1, 0]))) ?? free;
}

function moved([x, y, z]: Position, [dx, dy, dz]: Position): Position {
  return [x + dx, y + dy, z + dz];
}

/** The first voxel for which it holds, going up or down from one, so many steps at most. */
function firstWhere(from: Position, direction: number, steps: number, holds: (at: Position) => boolean): Position | null {
  for (let step = 0; step <= steps; step += 1) {
    const at = moved(from, [0, direction * step, 0]);
    if (holds(at)) {
      return at;
    }
  }
  return null;
}

/** The ends of a way, as far as they have been clicked. */
export interface Ends {
  readonly start: Position | null;
  readonly goal: Position | null;
}

/** Nothing has been clicked. */
export const NO_ENDS: Ends = { start: null, goal: null };

/** A click: the start, then the goal, then it begins anew. */
export function withClick({ start, goal }: Ends, voxel: Position): Ends {
  return start === null || goal !== null ? { start: voxel, goal: null } : { start, goal: voxel };
}
