/** The box in which changes are taken back, from two clicks on the ground. */
import { VOXEL_HEIGHT_LIMIT, type Box } from "@terrane/client";
import type { Ends } from "./picking.ts";

/** How far the outline of the box is drawn below and above what was clicked; the box itself goes from bottom to top. */
const [DRAWN_BELOW, DRAWN_ABOVE] = [4, 20];

/** The columns between two corners, from the bottom of the world to its top. */
export function boxOf({ start, goal }: Ends): Box | null {
  if (start === null || goal === null) {
    return null;
  }
  return {
    first: [Math.min(start[0], goal[0]), -VOXEL_HEIGHT_LIMIT, Math.min(start[2], goal[2])],
    end: [Math.max(start[0], goal[0]) + 1, VOXEL_HEIGHT_LIMIT, Math.max(start[2], goal[2]) + 1],
  };
}

/** The part of the box around what was clicked. */
export function outlineOf(corners: Ends): Box | null {
  const box = boxOf(corners);
  if (box === null) {
    return null;
  }
  const heights = [corners.start![1], corners.goal![1]];
  return {
    first: [box.first[0], Math.min(...heights) - DRAWN_BELOW, box.first[2]],
    end: [box.end[0], Math.max(...heights) + DRAWN_ABOVE, box.end[2]],
  };
}

/** Where it is meant to be, in words. */
export function placeText(corners: Ends): string {
  const box = boxOf(corners);
  if (box === null) {
    return corners.start === null ? "the whole world; click two corners for a box" : "from the corner clicked …";
  }
  const [width, depth] = [box.end[0] - box.first[0], box.end[2] - box.first[2]];
  return `${width} × ${depth} columns, from bottom to top`;
}
