/** The meshes of all chunks: upload, frustum culling by bounding box, order of the translucent pass. */
import * as THREE from "three";
import { chunkKey, CHUNK_SIDE, type Position } from "@terrane/client";
import { ShadeMode, type ChunkMesh } from "../mesh/layout.ts";
import type { Materials } from "./materials.ts";

interface DrawnChunk {
  readonly position: Position;
  readonly filled: THREE.Mesh | null;
  readonly translucent: THREE.Mesh | null;
}

/** The order in which the two triangles of a quad name its corners. */
const QUAD_INDEX = new THREE.BufferAttribute(Uint16Array.of(0, 1, 2, 0, 2, 3), 1);

/** Draws chunks relative to an origin near the camera, so that 32-bit floats stay exact far out. */
export class ChunkScene {
  readonly group = new THREE.Group();
  private readonly drawn = new Map<string, DrawnChunk>();
  private readonly frustum = new THREE.Frustum();
  private readonly projection = new THREE.Matrix4();
  private readonly box = new THREE.Box3();
  private readonly middle = new THREE.Vector3();

  constructor(private readonly materials: Materials) {}

  /** Shows a chunk's new mesh in place of its old one. `mode`: see ShadeMode. */
  replace(position: Position, mesh: ChunkMesh, mode: number): void {
    this.remove(position);
    const [filledMaterial, translucentMaterial] = this.materialsOf(mode);
    const filled = this.show(mesh.filled, filledMaterial);
    const translucent = this.show(mesh.translucent, translucentMaterial);
    if (filled !== null || translucent !== null) {
      this.drawn.set(chunkKey(position), { position, filled, translucent });
    }
  }

  /** Takes a chunk off the screen. */
  remove(position: Position): void {
    const key = chunkKey(position);
    const chunk = this.drawn.get(key);
    for (const mesh of [chunk?.filled, chunk?.translucent]) {
      if (mesh) {
        this.group.remove(mesh);
        mesh.geometry.dispose();
      }
    }
    this.drawn.delete(key);
  }

  /** Places, culls and orders everything for one frame. `origin` is in voxels. */
  prepare(camera: THREE.PerspectiveCamera, origin: Position): void {
    this.projection.multiplyMatrices(camera.projectionMatrix, camera.matrixWorldInverse);
    this.frustum.setFromProjectionMatrix(this.projection);
    for (const { position, filled, translucent } of this.drawn.values()) {
      const corner = this.box.min.set(
        position[0] * CHUNK_SIDE - origin[0],
        position[1] * CHUNK_SIDE - origin[1],
        position[2] * CHUNK_SIDE - origin[2],
      );
      this.box.max.copy(corner).addScalar(CHUNK_SIDE);
      const isVisible = this.frustum.intersectsBox(this.box);
      const distance = this.box.getCenter(this.middle).distanceTo(camera.position);
      for (const mesh of [filled, translucent]) {
        if (mesh !== null) {
          mesh.visible = isVisible;
          mesh.position.copy(corner);
          mesh.renderOrder = mesh === translucent ? -distance : distance;
        }
      }
    }
  }

  private materialsOf(mode: number): readonly [THREE.Material, THREE.Material] {
    const { filled, translucent, support, lit, litTranslucent } = this.materials;
    switch (mode) {
      case ShadeMode.support: return [support, translucent];
      case ShadeMode.light: return [lit, litTranslucent];
      default: return [filled, translucent];
    }
  }

  private show(words: Uint32Array<ArrayBuffer>, material: THREE.Material): THREE.Mesh | null {
    const mesh = quadMesh(words, material);
    if (mesh !== null) {
      this.group.add(mesh);
    }
    return mesh;
  }
}

/** Quads as something to draw; null if there are none. */
export function quadMesh(words: Uint32Array<ArrayBuffer>, material: THREE.Material): THREE.Mesh | null {
  if (words.length === 0) {
    return null;
  }
  const geometry = new THREE.InstancedBufferGeometry();
  geometry.setIndex(QUAD_INDEX);
  geometry.setAttribute("quad", new THREE.InstancedBufferAttribute(words, 2));
  geometry.instanceCount = words.length / 2;
  const mesh = new THREE.Mesh(geometry, material);
  mesh.frustumCulled = false;
  return mesh;
}
