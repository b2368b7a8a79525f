/** The double's deterministic terrain: hills, a mountain with snow, a lake with beaches, trees, meadow plants. */
import { BlockFlag, CHUNK_VOXELS, type BlockEntry, type Position } from "@terrane/client";

const { solid, opaque, liquid, picker } = BlockFlag;
const FULL = solid | opaque | picker;

const block = (name: string, flags: number, red: number, green: number, blue: number, light = 0): BlockEntry =>
  ({ name, flags, color: [red, green, blue], light });

/** The double's registry; the index is the block id. */
export const DOUBLE_BLOCKS: readonly BlockEntry[] = [
  block("air", 0, 0, 0, 0),
  block("grass", FULL, 106, 162, 66),
  block("dirt", FULL, 134, 97, 67),
  block("stone", FULL, 128, 128, 130),
  block("sand", FULL, 219, 206, 158),
  block("oak_log[axis=y]", FULL, 104, 82, 50),
  block("oak_leaves", solid | picker, 68, 118, 44),
  block("birch_leaves", solid | picker, 116, 152, 70),
  block("snow", FULL, 240, 246, 250),
  block("water", liquid | picker, 44, 98, 176),
  block("glass", solid | picker, 198, 226, 235),
  block("lamp[lit=true]", FULL, 255, 214, 120, 15),
  block("planks", FULL, 170, 134, 80),
  block("brick", FULL, 158, 84, 66),
  block("tall_grass", picker, 112, 164, 70),
  block("poppy", picker, 206, 58, 48),
  block("gravel", FULL, 140, 134, 130),
  block("birch_log[axis=y]", FULL, 214, 210, 198),
];

const ids = Object.fromEntries(DOUBLE_BLOCKS.map(({ name }, id) => [name.split("[")[0], id])) as Record<string, number>;

/** Voxels below and at this height that are not ground are water. */
export const WATER_LEVEL = 62;

function hash(x: number, z: number, salt: number): number {
  let mixed = Math.imul(x, 0x1f123bb5) ^ Math.imul(z, 0x5f356495) ^ Math.imul(salt, 0x6c8e9cf5);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
}

function noise(x: number, z: number, salt: number): number {
  const [x0, z0] = [Math.floor(x), Math.floor(z)];
  const ease = (part: number) => part * part * (3 - 2 * part);
  const [s, t] = [ease(x - x0), ease(z - z0)];
  const low = hash(x0, z0, salt) * (1 - s) + hash(x0 + 1, z0, salt) * s;
  const high = hash(x0, z0 + 1, salt) * (1 - s) + hash(x0 + 1, z0 + 1, salt) * s;
  return low * (1 - t) + high * t;
}

/** Height of the ground's top voxel. */
export function groundHeight(x: number, z: number): number {
  const broad = noise(x / 150, z / 150, 1) * 46 + noise(x / 61, z / 61, 2) * 18 + noise(x / 23, z / 23, 3) * 6;
  const ridge = 1 - Math.abs(2 * noise(x / 240, z / 240, 4) - 1);
  return Math.floor(30 + broad + 62 * ridge ** 4 + noise(x / 9, z / 9, 5) * 1.6);
}

function surfaceBlock(height: number, x: number, z: number): number {
  const edge = noise(x / 14, z / 14, 6) * 8;
  if (height <= WATER_LEVEL + 1) {
    return height < WATER_LEVEL - 6 + edge ? ids["gravel"]! : ids["sand"]!;
  }
  if (height > 108 + edge) {
    return ids["snow"]!;
  }
  return height > 94 + edge ? ids["stone"]! : ids["grass"]!;
}

interface Tree {
  readonly x: number;
  readonly z: number;
  readonly base: number;
  readonly trunk: number;
  readonly isBirch: boolean;
}

const TREE_CELL = 7;

/** The tree of a cell of the forest's grid, if it has one. */
function treeIn(cellX: number, cellZ: number): Tree | null {
  const x = cellX * TREE_CELL + 1 + Math.floor(hash(cellX, cellZ, 11) * 5);
  const z = cellZ * TREE_CELL + 1 + Math.floor(hash(cellX, cellZ, 12) * 5);
  const base = groundHeight(x, z);
  const density = noise(x / 70, z / 70, 13);
  const grows = hash(cellX, cellZ, 14) < (density - 0.32) * 1.3;
  if (!grows || base <= WATER_LEVEL + 1 || surfaceBlock(base, x, z) !== ids["grass"]) {
    return null;
  }
  return { x, z, base, trunk: 4 + Math.floor(hash(cellX, cellZ, 15) * 4), isBirch: hash(cellX, cellZ, 16) < 0.25 };
}

/** All 32,768 block ids of a chunk. */
export function generateChunk([cx, cy, cz]: Position): Uint16Array {
  const voxels = new Uint16Array(CHUNK_VOXELS);
  const [baseX, baseY, baseZ] = [cx * 32, cy * 32, cz * 32];
  const put = (x: number, y: number, z: number, id: number, onlyAir: boolean) => {
    const [lx, ly, lz] = [x - baseX, y - baseY, z - baseZ];
    if (Math.min(lx, ly, lz) >= 0 && Math.max(lx, ly, lz) < 32) {
      const index = lx + 32 * lz + 1_024 * ly;
      voxels[index] = onlyAir && voxels[index] !== 0 ? voxels[index]! : id;
    }
  };
  for (let z = baseZ; z < baseZ + 32; z += 1) {
    for (let x = baseX; x < baseX + 32; x += 1) {
      fillColumn(put, x, z, baseY);
    }
  }
  for (let tz = Math.floor((baseZ - 4) / TREE_CELL); tz * TREE_CELL < baseZ + 36; tz += 1) {
    for (let tx = Math.floor((baseX - 4) / TREE_CELL); tx * TREE_CELL < baseX + 36; tx += 1) {
      const tree = treeIn(tx, tz);
      if (tree !== null && tree.base + tree.trunk + 4 >= baseY && tree.base < baseY + 32) {
        plantTree(put, tree);
      }
    }
  }
  return voxels;
}

type Put = (x: number, y: number, z: number, id: number, onlyAir: boolean) => void;

function fillColumn(put: Put, x: number, z: number, baseY: number): void {
  const height = groundHeight(x, z);
  const surface = surfaceBlock(height, x, z);
  const soil = surface === ids["grass"] ? ids["dirt"]! : surface;
  for (let y = baseY; y < baseY + 32; y += 1) {
    if (y < height - 3) {
      put(x, y, z, ids["stone"]!, false);
    } else if (y <= height) {
      put(x, y, z, y === height ? surface : soil, false);
    } else if (y <= WATER_LEVEL) {
      put(x, y, z, ids["water"]!, false);
    }
  }
  const sprout = hash(x, z, 21);
  if (surface === ids["grass"] && sprout < 0.09 * noise(x / 20, z / 20, 22)) {
    put(x, height + 1, z, sprout < 0.004 ? ids["poppy"]! : ids["tall_grass"]!, true);
  }
}

function plantTree(put: Put, { x, z, base, trunk, isBirch }: Tree): void {
  const top = base + trunk;
  for (let y = -2; y <= 2; y += 1) {
    const radius = y >= 1 ? 1.6 - 0.4 * (y - 1) : 2.5;
    for (let dz = -3; dz <= 3; dz += 1) {
      for (let dx = -3; dx <= 3; dx += 1) {
        if (dx * dx + dz * dz <= radius * radius + hash(x + dx, z + dz, 31 + y) * 1.6 - 0.4) {
          put(x + dx, top + y, z + dz, ids[isBirch ? "birch_leaves" : "oak_leaves"]!, true);
        }
      }
    }
  }
  for (let y = base + 1; y <= top; y += 1) {
    put(x, y, z, ids[isBirch ? "birch_log" : "oak_log"]!, false);
  }
}
