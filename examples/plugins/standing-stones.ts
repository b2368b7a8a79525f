// Circles of standing stones on level ground, with a light in the middle.
import { Layer, NO_WATER, hash, integer, list, map, noise2, set } from "./terrane";

// The order of the list below.
const STONE_BRICKS = 0;
const MOSSY_COBBLESTONE = 1;
const GRAVEL = 2;
const SEA_LANTERN = 3;

/** Voxels from the middle to a stone. With the place for its feet this must stay below 16, the margin of the maps. */
const RADIUS = 6;
/** One circle at most in each square of so many voxels. */
const spacing = max(32, integer("spacing", 64));
/** In every how many squares there is one, where the ground allows it. */
const rarity = max(1, integer("rarity", 2));
/** The only biome with stones, or −1 for all. */
const biome = integer("biome", -1);

/** Where the stones of a circle stand, x and z by turns. */
const STONES: StaticArray<i32> = [6, 0, 4, 4, 0, 6, -4, 4, -6, 0, -4, -4, 0, -6, 4, -4];

export function terrane_abi(): i32 {
  return 1;
}

export function terrane_halo(): i32 {
  return 0;
}

export function terrane_blocks(): usize {
  return list("stone_bricks\nmossy_cobblestone\ngravel\nsea_lantern");
}

export function terrane_generate(x: i32, y: i32, z: i32): void {
  // Every square whose circle could reach into this chunk.
  const reach = RADIUS + 2;
  for (let row = floorDivide(z - reach); row <= floorDivide(z + 31 + reach); row++) {
    for (let column = floorDivide(x - reach); column <= floorDivide(x + 31 + reach); column++) {
      const chance = hash(column, 0, row, 0);
      if (chance % u32(rarity) != 0) continue;
      const room = u32(spacing - 2 * reach);
      const i = column * spacing + reach + i32((chance >> 8) % room) - x;
      const k = row * spacing + reach + i32((chance >> 20) % room) - z;
      if (inside(i, k, reach) && isLevel(i, k)) circle(x, y, z, i, k);
    }
  }
}

function circle(x: i32, y: i32, z: i32, i: i32, k: i32): void {
  for (let c = -4; c <= 4; c++) {
    for (let a = -4; a <= 4; a++) {
      const worn = a * a + c * c <= 18 && noise2(x + i + a, z + k + c, 3, 2, 1) > -1500;
      if (worn) pillar(y, i + a, k + c, -1, 0, GRAVEL);
    }
  }
  pillar(y, i, k, -1, 1, STONE_BRICKS);
  pillar(y, i, k, 1, 2, SEA_LANTERN);
  for (let n = 0; n < STONES.length; n += 2) {
    const a = i + STONES[n];
    const c = k + STONES[n + 1];
    const chance = hash(x + a, 0, z + c, 2);
    const tall = 2 + i32(chance % 4);
    pillar(y, a, c, -2, tall, (chance & 256) == 0 ? STONE_BRICKS : MOSSY_COBBLESTONE);
  }
}

/** Blocks over each other, from some voxels above the ground of this column to below another; what lies in the chunk. */
function pillar(y: i32, i: i32, k: i32, from: i32, to: i32, block: i32): void {
  if (!inside(i, k, 0)) return;
  const ground = map(Layer.height, i, k) - y;
  for (let j = max(0, ground + from); j < min(32, ground + to); j++) set(i, j, k, block);
}

/** Whether a circle can stand here: dry, and nowhere steep. */
function isLevel(i: i32, k: i32): bool {
  const height = map(Layer.height, i, k);
  if (map(Layer.water, i, k) != NO_WATER) return false;
  if (biome >= 0 && map(Layer.biome, i, k) != biome) return false;
  for (let n = 0; n < STONES.length; n += 2) {
    const a = i + STONES[n];
    const c = k + STONES[n + 1];
    if (abs(map(Layer.height, a, c) - height) > 2 || map(Layer.water, a, c) != NO_WATER) return false;
    if (map(Layer.overhang, a, c) > 1) return false;
  }
  return true;
}

function inside(i: i32, k: i32, beyond: i32): bool {
  return i >= -beyond && i < 32 + beyond && k >= -beyond && k < 32 + beyond;
}

function floorDivide(at: i32): i32 {
  return at >= 0 ? at / spacing : -((spacing - 1 - at) / spacing);
}
