/** The meshes of falling bodies, placed anew in each frame. */
import * as THREE from "three";
import { CHUNK_SIDE, type Position } from "@terrane/client";
import type { BodyCell } from "../mesh/body.ts";
import { quadMesh } from "./chunk-scene.ts";
import type { Materials } from "./materials.ts";

/** The full light of the sky, as in a face's shade. */
const DAYLIGHT = 0xf0;

interface DrawnBody {
  readonly group: THREE.Group;
  readonly corner: Position;
  /** Voxels below its beginning. */
  drop: number;
  /** The light on it, as in a face's shade; null for as bright as can be. */
  light: number | null;
}

/** Draws bodies relative to the same origin as the chunks. */
export class BodyScene {
  readonly group = new THREE.Group();
  private readonly drawn = new Map<number, DrawnBody>();

  constructor(private readonly materials: Materials) {}

  /** Shows a body where it begins. */
  add(handle: number, corner: Position, cells: readonly BodyCell[]): void {
    const body: DrawnBody = { group: new THREE.Group(), corner, drop: 0, light: null };
    for (const { cell, mesh } of cells) {
      const { falling, fallingTranslucent } = this.materials;
      for (const part of [quadMesh(mesh.filled, falling), quadMesh(mesh.translucent, fallingTranslucent)]) {
        if (part !== null) {
          part.position.set(cell[0] * CHUNK_SIDE, cell[1] * CHUNK_SIDE, cell[2] * CHUNK_SIDE);
          part.onBeforeRender = () => showPlace(part, body);
          body.group.add(part);
        }
      }
    }
    this.drawn.set(handle, body);
    this.group.add(body.group);
  }

  /** Moves a body to so many voxels below its beginning, and into a light. */
  move(handle: number, drop: number, light: number | null): void {
    const body = this.drawn.get(handle);
    if (body !== undefined) {
      [body.drop, body.light] = [drop, light];
    }
  }

  /** Takes a body off the screen. */
  remove(handle: number): void {
    const body = this.drawn.get(handle);
    if (body !== undefined) {
      this.group.remove(body.group);
      body.group.children.forEach((part) => (part as THREE.Mesh).geometry.dispose());
      this.drawn.delete(handle);
    }
  }

  /** Places everything for one frame. `origin` is in voxels. */
  prepare(origin: Position): void {
    for (const { group, corner, drop } of this.drawn.values()) {
      group.position.set(corner[0] - origin[0], corner[1] - origin[1] - drop, corner[2] - origin[2]);
    }
  }
}

/** The material is shared, so that the values of each body's own have to be brought to it body by body. */
function showPlace(part: THREE.Mesh, { drop, light }: DrawnBody): void {
  const material = part.material as THREE.ShaderMaterial;
  material.uniforms["drop"]!.value = drop;
  material.uniforms["bodyLight"]!.value = light ?? DAYLIGHT;
  material.uniformsNeedUpdate = true;
}
