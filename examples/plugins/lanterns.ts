import { Layer, NO_WATER, hash, integer, list, map, set } from "./terrane";

const FENCE = 0; // The place of each block in the list below is its number.
const GLOWSTONE = 1;
const every = max(1, integer("every", 500));

export function terrane_abi(): i32 {
  return 1;
}

export function terrane_halo(): i32 {
  return 0;
}

export function terrane_blocks(): usize {
  return list("oak_fence\nglowstone");
}

export function terrane_generate(x: i32, y: i32, z: i32): void {
  for (let k = 0; k < 32; k++) {
    for (let i = 0; i < 32; i++) {
      if (hash(x + i, 0, z + k, 0) % u32(every) != 0) continue;
      if (map(Layer.water, i, k) != NO_WATER) continue;
      const ground = map(Layer.height, i, k) - y;
      for (let j = ground; j < ground + 4; j++) {
        if (j >= 0 && j < 32) set(i, j, k, j == ground + 3 ? GLOWSTONE : FENCE);
      }
    }
  }
}
