// Clusters of shining crystals on the ceilings and the floors of caves, in rock that has turned to calcite.
import { Layer, hash, integer, list, map, noise3, read, set } from "./terrane";

// The order of the list below.
const AIR: u8 = 0;
const WATER: u8 = 1;
const LAVA: u8 = 2;
const CALCITE = 3;
const SEA_LANTERN = 4;
const GLOWSTONE = 5;

/** The longest crystal. A voxel is crystal if the rock that it grows from is this near, so this is the halo. */
const LONGEST = 4;
const EDGE = 32 + 2 * LONGEST;

/** The chunk with its halo. */
const around = new StaticArray<u8>(EDGE * EDGE * EDGE);
/** Noise above which there are crystals: the higher, the rarer. */
const rarity = integer("rarity", 2200);
/** Voxels of ground that must lie above. */
const depth = integer("depth", 8);

export function terrane_abi(): i32 {
  return 1;
}

export function terrane_halo(): i32 {
  return LONGEST;
}

export function terrane_blocks(): usize {
  return list("air\nwater\nlava\ncalcite\nsea_lantern\nglowstone");
}

export function terrane_generate(x: i32, y: i32, z: i32): void {
  read(changetype<usize>(around));
  for (let k = 0; k < 32; k++) {
    for (let i = 0; i < 32; i++) {
      const top = min(32, map(Layer.height, i, k) - depth - y);
      for (let j = 0; j < top; j++) {
        const block = at(i, j, k);
        if (block == AIR) {
          grow(x + i, y + j, z + k, i, j, k);
        } else if (isRock(block) && (at(i, j - 1, k) == AIR || at(i, j + 1, k) == AIR) && isRich(x + i, y + j, z + k)) {
          set(i, j, k, CALCITE);
        }
      }
    }
  }
}

/** A voxel of air becomes crystal if there is rich rock over or under it, no further away than a crystal there is long. */
function grow(x: i32, y: i32, z: i32, i: i32, j: i32, k: i32): void {
  for (let side = -1; side <= 1; side += 2) {
    for (let distance = 1; distance <= LONGEST; distance++) {
      const block = at(i, j + side * distance, k);
      if (block == AIR) continue;
      const rockY = y + side * distance;
      if (isRock(block) && distance <= length(x, rockY, z) && isRich(x, rockY, z)) {
        set(i, j, k, (hash(x, rockY, z, 2) & 3) == 0 ? GLOWSTONE : SEA_LANTERN);
      }
      break;
    }
  }
}

/** How long a crystal on this voxel of rock is; two of three have none. */
function length(x: i32, y: i32, z: i32): i32 {
  const chance = hash(x, y, z, 1);
  return chance % 3 == 0 ? 1 + i32((chance >> 8) % LONGEST) : 0;
}

/** Whether crystals grow hereabouts. It depends on the place in the world only, so neighbouring chunks agree. */
function isRich(x: i32, y: i32, z: i32): bool {
  return noise3(x, y, z, 5, 2, 0) > rarity;
}

function isRock(block: u8): bool {
  return block != AIR && block != WATER && block != LAVA;
}

function at(i: i32, j: i32, k: i32): u8 {
  return unchecked(around[i + LONGEST + EDGE * (k + LONGEST) + EDGE * EDGE * (j + LONGEST)]);
}
