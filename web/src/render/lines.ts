/** Line boxes: the outline of the voxel looked at, and the borders of chunk, region and column. */
import * as THREE from "three";
import type { Box, Position } from "@terrane/client";

/** What key B shows. */
export type BorderMode = "off" | "chunk" | "region" | "column";

/** The order in which key B goes through them. */
export const BORDER_MODES: readonly BorderMode[] = ["off", "chunk", "region", "column"];

/** Colour of each border, for the lines and for the legend. */
export const BORDER_COLORS: Readonly<Record<BorderMode, string>> = {
  off: "transparent", chunk: "#ffd84a", region: "#ff6a3d", column: "#d95bff",
};

/** Size of what each mode draws, in voxels. */
export const BORDER_SIZES: Readonly<Record<BorderMode, Position>> = {
  off: [0, 0, 0], chunk: [32, 32, 32], region: [128, 256, 128], column: [128, 4_096, 128],
};

const LOWEST_VOXEL = -2_048;

/** The outline of one voxel, a hair larger than it. */
export class Selection {
  readonly object: THREE.LineSegments;

  constructor() {
    const geometry = new THREE.EdgesGeometry(new THREE.BoxGeometry(1.004, 1.004, 1.004));
    const material = new THREE.LineBasicMaterial({ color: 0x101418, transparent: true, opacity: 0.85 });
    this.object = new THREE.LineSegments(geometry, material);
    this.object.frustumCulled = false;
    this.object.renderOrder = 1e8;
  }

  /** Shows it at a voxel, or hides it. */
  show(voxel: Position | null, origin: Position): void {
    this.object.visible = voxel !== null;
    if (voxel !== null) {
      this.object.position.set(voxel[0] - origin[0] + 0.5, voxel[1] - origin[1] + 0.5, voxel[2] - origin[2] + 0.5);
    }
  }
}

/** Boxes around the player; rebuilt when the player enters another one. */
export class Borders {
  readonly group = new THREE.Group();
  private mode: BorderMode = "off";
  private shown = "";

  /** Chooses what is drawn. */
  setMode(mode: BorderMode): void {
    this.mode = mode;
  }

  /** Rebuilds the lines if the player's box has changed. */
  update(player: Position, origin: Position): void {
    const size = BORDER_SIZES[this.mode];
    const corner = boxCorner(player, size);
    const wanted = `${this.mode} ${corner.join(" ")}`;
    if (wanted !== this.shown) {
      this.shown = wanted;
      this.rebuild(corner, size);
    }
    this.group.position.set(-origin[0], -origin[1], -origin[2]);
  }

  private rebuild(corner: Position, size: Position): void {
    for (const child of [...this.group.children] as THREE.LineSegments[]) {
      this.group.remove(child);
      child.geometry.dispose();
    }
    if (this.mode === "off") {
      return;
    }
    const isTall = this.mode === "column";
    for (let dz = -1; dz <= 1; dz += 1) {
      for (let dx = -1; dx <= 1; dx += 1) {
        const own = dx === 0 && dz === 0;
        const place: Position = [corner[0] + dx * size[0], isTall ? LOWEST_VOXEL : corner[1], corner[2] + dz * size[2]];
        this.group.add(lineBox(place, size, BORDER_COLORS[this.mode], own ? 1 : 0.35, own));
        if (own) {
          this.group.add(fence(place, size, BORDER_COLORS[this.mode]));
        }
      }
    }
  }
}

/** The outline of a box of voxels. */
export class BoxOutline {
  readonly group = new THREE.Group();

  constructor(private readonly color: string) {}

  /** Shows it around voxels from `first` to before `end`, or takes it away. */
  show(box: Box | null): void {
    for (const child of [...this.group.children] as THREE.LineSegments[]) {
      this.group.remove(child);
      child.geometry.dispose();
    }
    if (box !== null) {
      const size = box.end.map((value, axis) => value - box.first[axis]!) as unknown as Position;
      this.group.add(lineBox(box.first, size, this.color, 1, false));
    }
  }

  /** Places it for one frame. `origin` is in voxels. */
  prepare(origin: Position): void {
    this.group.position.set(-origin[0], -origin[1], -origin[2]);
  }
}

/** The corner of the box of the given size in which a voxel lies. */
export function boxCorner([x, y, z]: Position, size: Position): Position {
  const floorTo = (value: number, step: number) => (step === 0 ? 0 : Math.floor(value / step) * step);
  return [floorTo(x, size[0]), floorTo(y, size[1]), floorTo(z, size[2])];
}

/** A box's edges; the player's own has rungs every quarter of its height, at most 32 voxels apart. */
function lineBox(corner: Position, [width, height, depth]: Position, color: string, opacity: number, hasRungs: boolean): THREE.LineSegments {
  const points: number[] = [];
  const ring = (y: number) => points.push(
    0, y, 0, width, y, 0, width, y, 0, width, y, depth, width, y, depth, 0, y, depth, 0, y, depth, 0, y, 0);
  const rung = hasRungs ? Math.min(height / 4, 32) : height;
  for (let y = 0; y <= height; y += rung) {
    ring(y);
  }
  for (const [x, z] of [[0, 0], [width, 0], [width, depth], [0, depth]] as const) {
    points.push(x, 0, z, x, height, z);
  }
  return lineSegments(points, corner, color, opacity);
}

/** Faint posts along a box's four sides, so that a border is seen where it crosses the ground. */
function fence(corner: Position, [width, height, depth]: Position, color: string): THREE.LineSegments {
  const points: number[] = [];
  const gap = Math.max(8, width / 8);
  for (let along = gap; along < width; along += gap) {
    for (const [x, z] of [[along, 0], [along, depth], [0, along], [width, along]] as const) {
      points.push(x, 0, z, x, height, z);
    }
  }
  return lineSegments(points, corner, color, 0.4);
}

function lineSegments(points: number[], corner: Position, color: string, opacity: number): THREE.LineSegments {
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.Float32BufferAttribute(inPieces(points), 3));
  const lines = new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ color, opacity, transparent: true }));
  lines.position.set(...(corner as [number, number, number]));
  lines.frustumCulled = false;
  lines.renderOrder = 1e7;
  return lines;
}

/** Longest piece of a line: some rasterizers drop a line whole that reaches far behind the camera. */
const LONGEST_PIECE = 16;

/** The same lines, cut into short pieces; six coordinates a line. */
function inPieces(points: readonly number[]): number[] {
  const pieces: number[] = [];
  for (let at = 0; at < points.length; at += 6) {
    const [from, to] = [points.slice(at, at + 3), points.slice(at + 3, at + 6)];
    const length = Math.hypot(...to.map((value, axis) => value - from[axis]!));
    const count = Math.max(1, Math.ceil(length / LONGEST_PIECE));
    const place = (part: number) => from.map((value, axis) => value + ((to[axis]! - value) * part) / count);
    for (let part = 0; part < count; part += 1) {
      pieces.push(...place(part), ...place(part + 1));
    }
  }
  return pieces;
}
