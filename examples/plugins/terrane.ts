// What a Terrane server lends to a plug-in (interface version 1), for AssemblyScript. Copy this file beside your own;
// docs/plugins.md describes every function.

/** Copies the chunk and its halo, as they stood before the stage, to `to`: (32+2h)³ bytes, index x + e·z + e²·y, e = 32+2h. */
@external("terrane", "read") export declare function read(to: usize): void;
/** Takes 32³ bytes for the whole chunk from `from`, index x + 32·z + 1024·y; 255 keeps what was there. */
@external("terrane", "write") export declare function write(from: usize): void;
/** The block at a voxel as it stood before the stage, −h..32+h from the chunk's first voxel; 255 is any other block. */
@external("terrane", "get") export declare function get(x: i32, y: i32, z: i32): i32;
/** Puts a block, 0..32 from the chunk's first voxel; 255 keeps what was there. */
@external("terrane", "set") export declare function set(x: i32, y: i32, z: i32, block: i32): void;
/** A cell of a layer of the maps, −16..48 from the chunk's first voxel. */
@external("terrane", "map") export declare function map(layer: i32, x: i32, z: i32): i32;
/** The world's seed. */
@external("terrane", "seed") export declare function seed(): i64;
/** 32 bits of chance for a place, from the seed, the plug-in's name and `salt`. */
@external("terrane", "hash") export declare function hash(x: i32, y: i32, z: i32, salt: i32): u32;
/** Noise around 0 with a spacing of 2^bits voxels; two thirds lie within ±3300. */
@external("terrane", "noise2") export declare function noise2(x: i32, z: i32, bits: i32, octaves: i32, salt: i32): i32;
/** Noise around 0 with a spacing of 2^bits voxels; two thirds lie within ±1500. */
@external("terrane", "noise3") export declare function noise3(x: i32, y: i32, z: i32, bits: i32, octaves: i32, salt: i32): i32;
@external("terrane", "setting") declare function setting(name: usize, bytes: i32, otherwise: i64): i64;

/** Layers of the maps. */
export namespace Layer {
  /** y of the first voxel above the ground. */
  export const height: i32 = 0;
  /** How many voxels the ground may bulge above or hollow below its height. */
  export const overhang: i32 = 1;
  /** Number of the biome. */
  export const biome: i32 = 2;
  /** y of the water's surface. */
  export const water: i32 = 9;
}

/** What `Layer.water` has where no water stands. */
export const NO_WATER: i32 = -32768;
/** Any block that is not in the plug-in's list; written, it keeps what was there. */
export const OTHER: i32 = 255;

/** A whole number from the stage's settings in world.toml. */
export function integer(name: string, otherwise: i32): i32 {
  const utf8 = String.UTF8.encode(name);
  return i32(setting(changetype<usize>(utf8), utf8.byteLength, otherwise));
}

/** A list of block names, one a line, as `terrane_blocks` returns it. */
export function list(names: string): usize {
  return changetype<usize>(String.UTF8.encode(names, true));
}
