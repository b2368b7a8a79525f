/** What an undo would put back, over the world: translucent voxels, green where something comes back and red where it goes. */
import * as THREE from "three";
import { chunkKey, CHUNK_SIDE, type Position } from "@terrane/client";
import { quadMesh } from "./chunk-scene.ts";
import type { Materials } from "./materials.ts";

interface DrawnGhost {
  readonly position: Position;
  readonly meshes: readonly THREE.Mesh[];
  readonly quads: number;
}

/** After water, before what else tools draw. */
const ORDER = 1.5e6;

/** Draws the ghost of each chunk relative to the same origin as the blocks. */
export class GhostScene {
  readonly group = new THREE.Group();
  private readonly drawn = new Map<string, DrawnGhost>();

  constructor(private readonly materials: Materials) {}

  /** Shows a chunk's quads, as `meshGhost` gives them, in place of those before. */
  replace(position: Position, words: Uint32Array<ArrayBuffer>): void {
    this.remove(position);
    // Depth first, so that of faces behind each other only the nearest is seen, in whichever order they are drawn.
    const depth = quadMesh(words, this.materials.ghostDepth);
    if (depth === null) {
      return;
    }
    const color = new THREE.Mesh(depth.geometry, this.materials.ghost);
    const half = CHUNK_SIDE / 2;
    depth.geometry.boundingSphere = new THREE.Sphere(new THREE.Vector3(half, half, half), half * Math.sqrt(3) + 1);
    [depth, color].forEach((mesh, place) => {
      mesh.frustumCulled = true;
      mesh.renderOrder = ORDER + place;
      this.group.add(mesh);
    });
    this.drawn.set(chunkKey(position), { position, meshes: [depth, color], quads: words.length / 2 });
  }

  /** Takes a chunk's ghost off the screen. */
  remove(position: Position): void {
    const key = chunkKey(position);
    const before = this.drawn.get(key);
    if (before !== undefined) {
      before.meshes.forEach((mesh) => this.group.remove(mesh));
      before.meshes[0]!.geometry.dispose();
      this.drawn.delete(key);
    }
  }

  /** Takes all of it off the screen. */
  clear(): void {
    [...this.drawn.values()].forEach(({ position }) => this.remove(position));
  }

  /** Chunks and faces on the screen. */
  get counts(): { readonly chunks: number; readonly quads: number } {
    return { chunks: this.drawn.size, quads: [...this.drawn.values()].reduce((sum, { quads }) => sum + quads, 0) };
  }

  /** Places everything for one frame. `origin` is in voxels. */
  prepare(origin: Position): void {
    for (const { position: [x, y, z], meshes } of this.drawn.values()) {
      meshes.forEach((mesh) => mesh.position.set(x * CHUNK_SIDE - origin[0], y * CHUNK_SIDE - origin[1], z * CHUNK_SIDE - origin[2]));
    }
  }
}
