/** The cells of fields: a tile with an arrow each, one instanced mesh a chunk. */
import * as THREE from "three";
import { chunkKey, CHUNK_SIDE, type Position } from "@terrane/client";
import { rampColor, rampEnd } from "../world/cost-ramp.ts";
import { CELL_FRAGMENT, CELL_VERTEX } from "./tool-shaders.ts";

const QUAD_INDEX = new THREE.BufferAttribute(Uint16Array.of(0, 3, 2, 0, 2, 1), 1);
const RAMP_WIDTH = 128;

interface DrawnCells {
  readonly position: Position;
  readonly mesh: THREE.Mesh;
  /** As fieldCells gives them. */
  readonly cells: Uint32Array;
}

/** Draws the cells of each chunk relative to the same origin as the blocks. */
export class FieldScene {
  readonly group = new THREE.Group();
  private readonly drawn = new Map<string, DrawnCells>();
  private readonly material = new THREE.ShaderMaterial({
    glslVersion: THREE.GLSL3, vertexShader: CELL_VERTEX, fragmentShader: CELL_FRAGMENT,
    uniforms: { farthest: { value: 1 }, ramp: { value: rampTexture() } },
    transparent: true, depthWrite: false, side: THREE.DoubleSide,
    polygonOffset: true, polygonOffsetFactor: -1, polygonOffsetUnits: -2,
  });
  private isEndKnown = true;

  /** Shows a chunk's cells in place of those before. */
  replace(position: Position, cells: Uint32Array<ArrayBuffer>): void {
    this.remove(position);
    if (cells.length === 0) {
      return;
    }
    const geometry = new THREE.InstancedBufferGeometry();
    geometry.setIndex(QUAD_INDEX);
    geometry.setAttribute("cell", new THREE.InstancedBufferAttribute(cells, 2));
    geometry.instanceCount = cells.length / 2;
    const half = CHUNK_SIDE / 2;
    geometry.boundingSphere = new THREE.Sphere(new THREE.Vector3(half, half, half), half * Math.sqrt(3) + 1);
    const mesh = new THREE.Mesh(geometry, this.material);
    // After water, before borders.
    mesh.renderOrder = 2e6;
    this.group.add(mesh);
    this.drawn.set(chunkKey(position), { position, mesh, cells });
    this.isEndKnown = false;
  }

  /** Takes a chunk's cells off the screen. */
  remove(position: Position): void {
    const key = chunkKey(position);
    const before = this.drawn.get(key);
    if (before !== undefined) {
      this.group.remove(before.mesh);
      before.mesh.geometry.dispose();
      this.drawn.delete(key);
      this.isEndKnown = false;
    }
  }

  /** Takes all cells off the screen. */
  clear(): void {
    [...this.drawn.values()].forEach(({ position }) => this.remove(position));
  }

  get cellCount(): number {
    return [...this.drawn.values()].reduce((sum, { cells }) => sum + cells.length / 2, 0);
  }

  /** The cost at which the ramp ends, of what is drawn. */
  get farthest(): number {
    return this.material.uniforms["farthest"]!.value as number;
  }

  /** Brings the end of the ramp up to date; the cells stay as they are. */
  fitRamp(): void {
    if (!this.isEndKnown) {
      this.isEndKnown = true;
      this.material.uniforms["farthest"]!.value = rampEnd(this.costs());
    }
  }

  /** Places everything for one frame. `origin` is in voxels. */
  prepare(origin: Position): void {
    for (const { position, mesh } of this.drawn.values()) {
      mesh.position.set(
        position[0] * CHUNK_SIDE - origin[0], position[1] * CHUNK_SIDE - origin[1], position[2] * CHUNK_SIDE - origin[2]);
    }
  }

  /** The costs of some cells of each chunk. */
  private costs(): number[] {
    const costs: number[] = [];
    for (const { cells } of this.drawn.values()) {
      for (let at = 1; at < cells.length; at += 2 * 7) {
        costs.push(cells[at]!);
      }
    }
    return costs;
  }
}

function rampTexture(): THREE.DataTexture {
  const data = new Uint8Array(4 * RAMP_WIDTH);
  for (let at = 0; at < RAMP_WIDTH; at += 1) {
    data.set([...rampColor(at / (RAMP_WIDTH - 1)), 255], 4 * at);
  }
  const texture = new THREE.DataTexture(data, RAMP_WIDTH, 1);
  [texture.minFilter, texture.magFilter] = [THREE.LinearFilter, THREE.LinearFilter];
  texture.needsUpdate = true;
  return texture;
}
