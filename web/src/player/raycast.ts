/**
 * Which voxel the eye looks at: grid traversal after Amanatides & Woo, "A Fast Voxel Traversal
 * Algorithm for Ray Tracing" (1987).
 */
import type { Position } from "@terrane/client";

/** A voxel that a ray meets, and the side through which it enters. */
export interface RayHit {
  readonly voxel: Position;
  /** Points out of the side; (0, 0, 0) if the ray starts inside. */
  readonly normal: Position;
}

/** The first voxel along the ray for which `stops` holds, at most `reach` voxels away; `direction` has length 1. */
export function castRay(
  from: Position, direction: Position, reach: number, stops: (x: number, y: number, z: number) => boolean,
): RayHit | null {
  const voxel = from.map(Math.floor);
  const step = direction.map(Math.sign);
  const perVoxel = direction.map((part) => (part === 0 ? Infinity : Math.abs(1 / part)));
  const next = direction.map((part, axis) => {
    const offset = from[axis]! - voxel[axis]!;
    return part === 0 ? Infinity : perVoxel[axis]! * (part > 0 ? 1 - offset : offset);
  });
  const normal = [0, 0, 0];
  for (let travelled = 0; travelled <= reach;) {
    if (stops(voxel[0]!, voxel[1]!, voxel[2]!)) {
      return { voxel: voxel as unknown as Position, normal: normal as unknown as Position };
    }
    const axis = next[0]! < next[1]! ? (next[0]! < next[2]! ? 0 : 2) : next[1]! < next[2]! ? 1 : 2;
    travelled = next[axis]!;
    next[axis]! += perVoxel[axis]!;
    voxel[axis]! += step[axis]!;
    normal.fill(0);
    normal[axis] = -step[axis]!;
  }
  return null;
}
