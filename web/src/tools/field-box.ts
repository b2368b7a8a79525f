/** The box over which the viewer asks for a field. */
import { MAX_FIELD_CHUNKS, VOXEL_HEIGHT_LIMIT, VOXEL_SIDE_LIMIT, type Box, type Position } from "@terrane/client";

/** How far around the goal and the player the field reaches, in voxels. */
const REACH: Position = [48, 24, 48];

/** The box around a goal and the player; around the goal alone where the player is too far from it. */
export function fieldBox(goal: Position, player: Position): Box {
  const both = boxAround(goal, player.map(Math.floor) as unknown as Position, REACH);
  return chunksOf(both) <= MAX_FIELD_CHUNKS ? both : boxAround(goal, goal, REACH);
}

/** The box of two voxels and of what is so near to it, as far as the world reaches. */
export function boxAround(one: Position, other: Position, reach: Position): Box {
  const limit: Position = [VOXEL_SIDE_LIMIT, VOXEL_HEIGHT_LIMIT, VOXEL_SIDE_LIMIT];
  const first = one.map((value, axis) => Math.max(-limit[axis]!, Math.min(value, other[axis]!) - reach[axis]!));
  const end = one.map((value, axis) => Math.min(limit[axis]!, Math.max(value, other[axis]!) + reach[axis]! + 1));
  return { first: first as unknown as Position, end: end as unknown as Position };
}

/** How many chunks a box touches. */
export function chunksOf({ first, end }: Box): number {
  return first.reduce((count, value, axis) => count * (((end[axis]! - 1) >> 5) - (value >> 5) + 1), 1);
}
