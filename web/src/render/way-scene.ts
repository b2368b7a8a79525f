/** Ways as broad lines, seen faintly through blocks. */
import * as THREE from "three";
import type { Position } from "@terrane/client";
import { colorParts } from "../world/mode-look.ts";
import { WAY_FRAGMENT, WAY_VERTEX } from "./tool-shaders.ts";

/** Two ends and two sides. */
const CORNERS = new THREE.BufferAttribute(Float32Array.of(0, -1, 1, -1, 1, 1, 0, 1), 2);
const QUAD_INDEX = new THREE.BufferAttribute(Uint16Array.of(0, 1, 2, 0, 2, 3), 1);
/** Longest piece of a line: what reaches far behind the camera is exact only in short ones. */
const LONGEST_PIECE = 16;
const OPACITY_BEHIND = 0.32;
/** Apart by so much, lines that take the same way do not hide each other. */
const LANE_WIDTH = 0.14;

/** How far from the middle of its voxels a way is drawn: nine lanes, apart from each other whichever way they lead. */
export function laneOf(place: number): Position {
  const [side, row] = [(place % 3) - 1, Math.floor(place / 3) % 3];
  return [side * LANE_WIDTH, (row + side * 0.6) * LANE_WIDTH, side * LANE_WIDTH * 0.5];
}

/** The pieces of a line through the middles of voxels, counted from a corner: six coordinates each. */
export function wayPieces(waypoints: readonly Position[], corner: Position, lane: Position): Float32Array<ArrayBuffer> {
  const middle = (voxel: Position) => voxel.map((value, axis) => value - corner[axis]! + 0.5 + lane[axis]!);
  const pieces: number[] = [];
  for (let at = 1; at < waypoints.length; at += 1) {
    const [from, to] = [middle(waypoints[at - 1]!), middle(waypoints[at]!)];
    const length = Math.hypot(...to.map((value, axis) => value - from[axis]!));
    const count = Math.max(1, Math.ceil(length / LONGEST_PIECE));
    const point = (part: number) => from.map((value, axis) => value + ((to[axis]! - value) * part) / count);
    for (let part = 0; part < count; part += 1) {
      pieces.push(...point(part), ...point(part + 1));
    }
  }
  return Float32Array.from(pieces);
}

/** Draws ways relative to the corner of the first voxel of each, so that far out they stay exact. */
export class WayScene {
  readonly group = new THREE.Group();
  private drawn: { readonly corner: Position; readonly parts: readonly THREE.Mesh[] }[] = [];

  /** Adds a way. */
  add(waypoints: readonly Position[], color: string, lane: Position): void {
    const corner = waypoints[0];
    if (corner === undefined || waypoints.length < 2) {
      return;
    }
    const pieces = new THREE.InstancedInterleavedBuffer(wayPieces(waypoints, corner, lane), 6);
    const geometry = new THREE.InstancedBufferGeometry();
    geometry.setIndex(QUAD_INDEX);
    geometry.setAttribute("corner", CORNERS);
    geometry.setAttribute("begin", new THREE.InterleavedBufferAttribute(pieces, 3, 0));
    geometry.setAttribute("end", new THREE.InterleavedBufferAttribute(pieces, 3, 3));
    geometry.instanceCount = pieces.count;
    const parts = [lineMesh(geometry, color, false), lineMesh(geometry, color, true)];
    this.group.add(...parts);
    this.drawn.push({ corner, parts });
  }

  /** Takes all ways off the screen. */
  clear(): void {
    for (const { parts } of this.drawn) {
      this.group.remove(...parts);
      parts.forEach(({ geometry, material }) => {
        geometry.dispose();
        (material as THREE.Material).dispose();
      });
    }
    this.drawn = [];
  }

  /** Places everything for one frame. `origin` is in voxels. */
  prepare(origin: Position): void {
    for (const { corner, parts } of this.drawn) {
      parts.forEach(({ position }) => position.set(corner[0] - origin[0], corner[1] - origin[1], corner[2] - origin[2]));
    }
  }
}

/** A line as it is seen, or as it is seen through what stands before it. */
function lineMesh(geometry: THREE.BufferGeometry, color: string, isBehind: boolean): THREE.Mesh {
  const material = new THREE.ShaderMaterial({
    glslVersion: THREE.GLSL3, vertexShader: WAY_VERTEX, fragmentShader: WAY_FRAGMENT,
    uniforms: {
      color: { value: new THREE.Vector3(...colorParts(color)) },
      opacity: { value: isBehind ? OPACITY_BEHIND : 1 },
      resolution: { value: new THREE.Vector2(1, 1) },
    },
    transparent: isBehind, depthTest: !isBehind, depthWrite: !isBehind,
    side: THREE.DoubleSide, defines: isBehind ? { BEHIND: "" } : {},
  });
  const mesh = new THREE.Mesh(geometry, material);
  mesh.frustumCulled = false;
  // Before the sky, which is drawn where nothing else is; what is seen through blocks comes after the blocks.
  mesh.renderOrder = isBehind ? 9e6 : 5e5;
  mesh.onBeforeRender = (renderer) => {
    renderer.getDrawingBufferSize(material.uniforms["resolution"]!.value as THREE.Vector2);
    material.uniformsNeedUpdate = true;
  };
  return mesh;
}
