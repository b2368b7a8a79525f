/** Agents as small bodies with a head, many at a time, coloured by the mode of their crowd. */
import * as THREE from "three";
import { mergeGeometries } from "three/examples/jsm/utils/BufferGeometryUtils.js";
import type { Position } from "@terrane/client";

/** As many as are told of in one column of one crowd. */
const CAPACITY = 32_768;

/** One of them, a voxel and a half high, its feet at the origin; it looks to −z. */
function bodyGeometry(): THREE.BufferGeometry {
  const part = (size: [number, number, number], at: [number, number, number], shade: number) => {
    const box = new THREE.BoxGeometry(...size).translate(...at);
    const normals = box.attributes["normal"]!;
    const shades = Array.from({ length: normals.count }, (_, at) => shade * lightOn(normals.getX(at), normals.getY(at)));
    return box.setAttribute("color", new THREE.Float32BufferAttribute(shades.flatMap((part) => [part, part, part]), 3));
  };
  return mergeGeometries([
    part([0.3, 0.75, 0.22], [0, 0.45, 0], 0.8),
    part([0.26, 0.26, 0.26], [0, 0.97, 0], 1),
    part([0.2, 0.06, 0.02], [0, 1.0, -0.14], 0.12),
  ]);
}

/** How bright a side is: from above most. */
function lightOn(x: number, y: number): number {
  return y > 0 ? 1 : y < 0 ? 0.5 : x === 0 ? 0.72 : 0.84;
}

/** Draws all agents in one call, relative to an origin. */
export class AgentScene {
  readonly mesh: THREE.InstancedMesh;
  private readonly matrix = new THREE.Matrix4();
  private readonly color = new THREE.Color();
  private origin: Position = [0, 0, 0];

  constructor() {
    const material = new THREE.MeshBasicMaterial({ vertexColors: true });
    this.mesh = new THREE.InstancedMesh(bodyGeometry(), material, CAPACITY);
    this.mesh.setColorAt(0, this.color);
    this.mesh.frustumCulled = false;
    this.mesh.count = 0;
  }

  /** Begins a frame. `origin` is in voxels. */
  begin(origin: Position): void {
    this.origin = origin;
    this.mesh.count = 0;
  }

  /** Adds one to the frame, if there is room. */
  add([x, y, z]: Position, yaw: number, color: string): void {
    const index = this.mesh.count;
    if (index === CAPACITY) {
      return;
    }
    this.matrix.makeRotationY(-yaw).setPosition(x - this.origin[0], y - this.origin[1], z - this.origin[2]);
    this.mesh.setMatrixAt(index, this.matrix);
    // Colours are drawn as they are written: our own shaders encode theirs.
    this.mesh.setColorAt(index, this.color.set(color).convertLinearToSRGB());
    this.mesh.count = index + 1;
  }

  /** Ends a frame: what was added is drawn. */
  end(): void {
    this.mesh.visible = this.mesh.count > 0;
    // Only what is drawn goes to the device.
    [this.mesh.instanceMatrix, this.mesh.instanceColor!].forEach((attribute) => {
      attribute.clearUpdateRanges();
      attribute.addUpdateRange(0, this.mesh.count * attribute.itemSize);
      attribute.needsUpdate = true;
    });
  }
}
