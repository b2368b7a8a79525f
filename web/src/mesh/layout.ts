/**
 * What the mesher takes and gives: the padded chunk, the drawing classes of blocks, and the packed quad.
 *
 * A quad is two u32:
 * word 0: x 5 · y 5 · z 5 · width − 1 5 · height − 1 5 · direction 4 · flip 1 (from the low bit up)
 * word 1: block id 16 · ambient occlusion of the four corners 2 each · shade 8
 */

/** Side of a padded chunk: 32 voxels and one of the neighbours on each side. */
export const PADDED_SIDE = 34;
/** Voxels of a padded chunk; index = x + 34·z + 34²·y, coordinates from 0 for the border. */
export const PADDED_VOXELS = PADDED_SIDE ** 3;
/** Stands in the padding where the neighbour is not held: hides faces, casts no shade. */
export const UNKNOWN_BLOCK = 0xffff;

/** How a block is drawn. */
export const DrawClass = { nothing: 0, filled: 1, liquid: 2, glass: 3, plant: 4 } as const;

/** Directions 0–5: +x −x +y −y +z −z; 6–9: a plant's two diagonals, each from both sides. */
export const DIRECTION_COUNT = 10;

/**
 * For each face direction: the axis it looks along, its sign, and the axes of width (u) and height (v).
 * Rows of merging run along u.
 */
export const FACES = [
  { axis: 0, sign: 1, u: 2, v: 1 },
  { axis: 0, sign: -1, u: 2, v: 1 },
  { axis: 1, sign: 1, u: 0, v: 2 },
  { axis: 1, sign: -1, u: 0, v: 2 },
  { axis: 2, sign: 1, u: 0, v: 1 },
  { axis: 2, sign: -1, u: 0, v: 1 },
] as const;

/** Steps of the padded index along x, y, z. */
export const PADDED_STEP = [1, PADDED_SIDE * PADDED_SIDE, PADDED_SIDE] as const;

/** What the shade of a face says: nothing, the support of its own voxel, or the light of the voxel that it looks into. */
export const ShadeMode = { plain: 0, support: 1, light: 2 } as const;

/** A byte for each voxel of a padded chunk. */
export interface Shade {
  /** See ShadeMode. */
  readonly mode: number;
  readonly values: Uint8Array<ArrayBuffer>;
}

/** A chunk's quads. */
export interface ChunkMesh {
  /** Two words a quad: filled blocks and plants. */
  readonly filled: Uint32Array<ArrayBuffer>;
  /** Two words a quad: liquids and glass. */
  readonly translucent: Uint32Array<ArrayBuffer>;
}

/** A quad, unpacked: for tests and for reading the layout. */
export interface Quad {
  readonly origin: readonly [number, number, number];
  readonly width: number;
  readonly height: number;
  readonly direction: number;
  readonly flip: boolean;
  readonly block: number;
  /** Occlusion of the corners (u0,v0), (u1,v0), (u1,v1), (u0,v1); 3 is open, 0 closed. */
  readonly occlusion: readonly [number, number, number, number];
  readonly shade: number;
}

/** Unpacks a quad's two words. */
export function unpackQuad(word0: number, word1: number): Quad {
  return {
    origin: [word0 & 31, (word0 >>> 5) & 31, (word0 >>> 10) & 31],
    width: ((word0 >>> 15) & 31) + 1,
    height: ((word0 >>> 20) & 31) + 1,
    direction: (word0 >>> 25) & 15,
    flip: (word0 >>> 29) === 1,
    block: word1 & 0xffff,
    occlusion: [(word1 >>> 16) & 3, (word1 >>> 18) & 3, (word1 >>> 20) & 3, (word1 >>> 22) & 3],
    shade: word1 >>> 24,
  };
}
