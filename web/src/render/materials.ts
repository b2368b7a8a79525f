/** The shader materials and the uniforms that they share. */
import * as THREE from "three";
import type { BlockEntry } from "@terrane/client";
import { GONE } from "../mesh/ghost.ts";
import { buildPalette, PALETTE_SIDE } from "../world/appearance.ts";
import { CHUNK_VERTEX, FILLED_FRAGMENT, SKY_FRAGMENT, SKY_VERTEX, TRANSLUCENT_FRAGMENT } from "./shaders.ts";
import { GHOST_FRAGMENT } from "./tool-shaders.ts";

/** Direction to the sun. */
export const SUN_DIRECTION = new THREE.Vector3(0.52, 0.68, 0.34).normalize();

/** Everything drawn with our own shaders. */
export class Materials {
  private readonly palette = emptyPalette();
  private readonly uniforms = {
    palette: { value: this.palette },
    sunDirection: { value: SUN_DIRECTION },
    seconds: { value: 0 },
    cameraWorld: { value: new THREE.Vector3() },
    fogDistance: { value: new THREE.Vector2(160, 140) },
    isSubmerged: { value: 0 },
    drop: { value: 0 },
  };

  readonly filled = this.material(CHUNK_VERTEX, FILLED_FRAGMENT, {});
  /** The same with the support of each voxel for a colour. */
  readonly support = this.material(CHUNK_VERTEX, FILLED_FRAGMENT, { defines: { SUPPORT: "" } });
  /** The same by the light of the voxel before each face. */
  readonly lit = this.material(CHUNK_VERTEX, FILLED_FRAGMENT, { defines: { LIGHT: "" } });
  readonly translucent = this.material(CHUNK_VERTEX, TRANSLUCENT_FRAGMENT, {
    transparent: true, side: THREE.DoubleSide, defines: { TRANSLUCENT: "" },
  });
  readonly litTranslucent = this.material(CHUNK_VERTEX, TRANSLUCENT_FRAGMENT, {
    transparent: true, side: THREE.DoubleSide, defines: { TRANSLUCENT: "", LIGHT: "" },
  });
  /** For bodies; each has its own `drop` and `bodyLight`. */
  readonly falling = this.fallingMaterial(CHUNK_VERTEX, FILLED_FRAGMENT, { defines: { BODY_LIGHT: "" } });
  readonly fallingTranslucent = this.fallingMaterial(CHUNK_VERTEX, TRANSLUCENT_FRAGMENT, {
    transparent: true, side: THREE.DoubleSide, defines: { TRANSLUCENT: "", BODY_LIGHT: "" },
  });
  /** Ghosts of voxels, and their depth alone. */
  readonly ghost = this.material(CHUNK_VERTEX, GHOST_FRAGMENT, {
    transparent: true, depthWrite: false, defines: { GHOST: `${GONE}` },
  });
  readonly ghostDepth = this.material(CHUNK_VERTEX, GHOST_FRAGMENT, {
    transparent: true, colorWrite: false, defines: { GHOST: `${GONE}` },
  });
  readonly sky = this.material(SKY_VERTEX, SKY_FRAGMENT, { side: THREE.BackSide, depthWrite: false });

  /** Brings new blocks to the shaders. */
  setBlocks(blocks: readonly BlockEntry[]): void {
    this.palette.image.data.set(buildPalette(blocks));
    this.palette.needsUpdate = true;
  }

  /** What changes from frame to frame. */
  setFrame(seconds: number, cameraWorld: THREE.Vector3, isSubmerged: boolean): void {
    this.uniforms.seconds.value = seconds;
    this.uniforms.cameraWorld.value.copy(cameraWorld);
    this.uniforms.isSubmerged.value = isSubmerged ? 1 : 0;
  }

  /** The fog is full just inside the nearest chunk that is not held. */
  setViewDistance(horizontalChunks: number, verticalChunks: number): void {
    this.uniforms.fogDistance.value.set(
      Math.max(24, (horizontalChunks - 0.8) * 32),
      Math.max(40, (verticalChunks + 0.4) * 32),
    );
  }

  private fallingMaterial(vertexShader: string, fragmentShader: string, extra: THREE.ShaderMaterialParameters): THREE.ShaderMaterial {
    const material = this.material(vertexShader, fragmentShader, extra);
    material.uniforms = { ...this.uniforms, drop: { value: 0 }, bodyLight: { value: 0 } };
    return material;
  }

  private material(vertexShader: string, fragmentShader: string, extra: THREE.ShaderMaterialParameters): THREE.ShaderMaterial {
    return new THREE.ShaderMaterial({
      glslVersion: THREE.GLSL3, vertexShader, fragmentShader, uniforms: this.uniforms, ...extra,
    });
  }
}

type Palette = THREE.DataTexture & { image: { data: Uint8Array } };

function emptyPalette(): Palette {
  const data = new Uint8Array(4 * PALETTE_SIDE * PALETTE_SIDE * 2);
  const texture = new THREE.DataTexture(data, PALETTE_SIDE, 2 * PALETTE_SIDE);
  texture.needsUpdate = true;
  return texture as Palette;
}
