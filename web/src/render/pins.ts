/** Pins that mark voxels, seen through everything and always of the same size. */
import * as THREE from "three";
import type { Position } from "@terrane/client";

const PICTURE_SIDE = 128;
/** Of the height of the view. */
const SIZE = 0.075;

/** One pin with a letter; it points to the floor of its voxel. */
export class Pin {
  readonly object: THREE.Sprite;
  private voxel: Position | null = null;

  constructor(letter: string, color: string) {
    const map = new THREE.CanvasTexture(picture(letter, color));
    const material = new THREE.SpriteMaterial({ map, sizeAttenuation: false, depthTest: false, depthWrite: false });
    this.object = new THREE.Sprite(material);
    this.object.center.set(0.5, 0);
    this.object.scale.set(SIZE, SIZE, 1);
    this.object.renderOrder = 2e7;
    this.object.visible = false;
  }

  /** Puts it at a voxel, or takes it away. */
  show(voxel: Position | null): void {
    this.voxel = voxel;
    this.object.visible = voxel !== null;
  }

  /** Places it for one frame. `origin` is in voxels. */
  prepare(origin: Position): void {
    if (this.voxel !== null) {
      const [x, y, z] = this.voxel;
      this.object.position.set(x - origin[0] + 0.5, y - origin[1] + 0.1, z - origin[2] + 0.5);
    }
  }
}

function picture(letter: string, color: string): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [PICTURE_SIDE, PICTURE_SIDE];
  const context = canvas.getContext("2d")!;
  const [middle, radius] = [PICTURE_SIDE / 2, 38];
  context.beginPath();
  context.arc(middle, 46, radius, Math.PI * 0.83, Math.PI * 2.17);
  context.lineTo(middle, PICTURE_SIDE - 4);
  context.closePath();
  context.fillStyle = color;
  context.fill();
  context.lineWidth = 7;
  context.strokeStyle = "#10161f";
  context.stroke();
  context.fillStyle = "#10161f";
  context.font = "bold 50px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(letter, middle, 49);
  return canvas;
}
