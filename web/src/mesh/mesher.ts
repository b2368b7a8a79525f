/**
 * Binary greedy meshing: visible faces by bit operations on rows of 32 voxels, merged by bit tests.
 *
 * Pure: a padded chunk and the drawing class of each block in, packed quads out. Two faces merge
 * only if block, shade and ambient occlusion agree and the occlusion does not change along the merge, so
 * that a merged quad is shaded exactly as its single faces would be.
 */
import {
  DrawClass, FACES, PADDED_SIDE, PADDED_STEP, PADDED_VOXELS, ShadeMode, UNKNOWN_BLOCK, type ChunkMesh, type Shade,
} from "./layout.ts";

const ROWS = PADDED_SIDE * PADDED_SIDE;
const NO_SHADE: Shade = { mode: ShadeMode.plain, values: new Uint8Array(PADDED_VOXELS) };

/** Bits of one kind of voxel: 32 inner bits a row along x, and the two border bits. */
interface BitGrid {
  /** Index = z + 34·y, both padded. */
  readonly inner: Uint32Array;
  /** Bit 0: voxel at padded x = 0; bit 1: at padded x = 33. */
  readonly border: Uint8Array;
}

/** A growing list of quads. */
class QuadList {
  private words = new Uint32Array(1_024);
  private length = 0;

  push(word0: number, word1: number): void {
    if (this.length + 2 > this.words.length) {
      const larger = new Uint32Array(2 * this.words.length);
      larger.set(this.words);
      this.words = larger;
    }
    this.words[this.length] = word0;
    this.words[this.length + 1] = word1;
    this.length += 2;
  }

  finish(): Uint32Array<ArrayBuffer> {
    return this.words.slice(0, this.length);
  }
}

/**
 * Meshes one chunk.
 *
 * `voxels`: PADDED_VOXELS block ids. `classes`: DrawClass by block id; ids past its end draw nothing. `shade`: what
 * each face carries beside its block.
 */
export function meshChunk(voxels: Uint16Array, classes: Uint8Array, shade: Shade | null = null): ChunkMesh {
  const shades = shade ?? NO_SHADE;
  const cells = classify(voxels, classes);
  const filled = gatherBits(cells, DrawClass.filled);
  const hidden = gatherHiding(voxels, cells);
  const occluders = Uint8Array.from(cells, (cell) => (cell === DrawClass.filled ? 1 : 0));
  const solid = new QuadList();
  const translucent = new QuadList();
  meshLayer(solid, voxels, occluders, shades, filled, hidden);
  for (const kind of [DrawClass.liquid, DrawClass.glass]) {
    const own = gatherBits(cells, kind);
    meshLayer(translucent, voxels, occluders, shades, own, unite(hidden, own));
  }
  pushPlants(solid, voxels, cells, shades.values);
  return { filled: solid.finish(), translucent: translucent.finish() };
}

function classify(voxels: Uint16Array, classes: Uint8Array): Uint8Array {
  const cells = new Uint8Array(PADDED_VOXELS);
  for (let index = 0; index < PADDED_VOXELS; index += 1) {
    cells[index] = classes[voxels[index]!] ?? DrawClass.nothing;
  }
  return cells;
}

function emptyGrid(): BitGrid {
  return { inner: new Uint32Array(ROWS), border: new Uint8Array(ROWS) };
}

function gatherBits(cells: Uint8Array, kind: number): BitGrid {
  const grid = emptyGrid();
  for (let row = 0; row < ROWS; row += 1) {
    const start = row * PADDED_SIDE;
    let bits = 0;
    for (let x = 0; x < 32; x += 1) {
      bits |= (cells[start + 1 + x] === kind ? 1 : 0) << x;
    }
    grid.inner[row] = bits;
    grid.border[row] = (cells[start] === kind ? 1 : 0) | (cells[start + 33] === kind ? 2 : 0);
  }
  return grid;
}

/** What hides a face behind it: filled blocks, and chunks that are not held. */
function gatherHiding(voxels: Uint16Array, cells: Uint8Array): BitGrid {
  const hides = new Uint8Array(PADDED_VOXELS);
  for (let index = 0; index < PADDED_VOXELS; index += 1) {
    hides[index] = cells[index] === DrawClass.filled || voxels[index] === UNKNOWN_BLOCK ? 1 : 0;
  }
  return gatherBits(hides, 1);
}

function unite(a: BitGrid, b: BitGrid): BitGrid {
  return {
    inner: a.inner.map((bits, row) => bits | b.inner[row]!),
    border: a.border.map((bits, row) => bits | b.border[row]!),
  };
}

/** All six directions of one kind of voxel. */
function meshLayer(
  quads: QuadList, voxels: Uint16Array, occluders: Uint8Array, shades: Shade, own: BitGrid, hiding: BitGrid,
): void {
  const planes = new Uint32Array(1_024);
  for (let direction = 0; direction < FACES.length; direction += 1) {
    if (gatherFaces(planes, own, hiding, direction)) {
      mergeDirection(quads, voxels, occluders, shades, planes, direction);
    }
  }
}

/** Fills planes[slice·32 + v] with the visible faces along u. Returns whether there is any. */
function gatherFaces(planes: Uint32Array, own: BitGrid, hiding: BitGrid, direction: number): boolean {
  const { axis, sign } = FACES[direction]!;
  planes.fill(0);
  let any = 0;
  for (let y = 0; y < 32; y += 1) {
    for (let z = 0; z < 32; z += 1) {
      const row = z + 1 + PADDED_SIDE * (y + 1);
      const bits = own.inner[row]!;
      if (bits === 0) {
        continue;
      }
      const visible = bits & ~neighbourBits(hiding, row, axis, sign);
      any |= visible;
      if (axis === 0) {
        scatterAlongX(planes, visible, y, z);
      } else {
        planes[axis === 1 ? 32 * y + z : 32 * z + y] = visible;
      }
    }
  }
  return any !== 0;
}

/** For each voxel of a row: whether its neighbour in the direction hides the face between them. */
function neighbourBits(hiding: BitGrid, row: number, axis: number, sign: number): number {
  if (axis === 0) {
    const [bits, border] = [hiding.inner[row]!, hiding.border[row]!];
    return sign > 0 ? (bits >>> 1) | ((border & 2) << 30) : (bits << 1) | (border & 1);
  }
  return hiding.inner[row + sign * (axis === 1 ? PADDED_SIDE : 1)]!;
}

/** Faces along x lie in planes of z and y: a row's bits go to one plane each. */
function scatterAlongX(planes: Uint32Array, visible: number, y: number, z: number): void {
  for (let rest = visible; rest !== 0; rest &= rest - 1) {
    const x = 31 - Math.clz32(rest & -rest);
    planes[32 * x + y]! |= 1 << z;
  }
}

/** Scratch of one slice: block, occlusion and shade of each face, and along which axes it may merge. */
const sliceKeys = new Uint32Array(1_024);

function mergeDirection(
  quads: QuadList, voxels: Uint16Array, occluders: Uint8Array, shades: Shade, planes: Uint32Array, direction: number,
): void {
  const { axis, sign, u, v } = FACES[direction]!;
  const shadeStep = shades.mode === ShadeMode.light ? sign * PADDED_STEP[axis] : 0;
  for (let slice = 0; slice < 32; slice += 1) {
    const rows = planes.subarray(32 * slice, 32 * slice + 32);
    for (let line = 0; line < 32; line += 1) {
      const base = PADDED_STEP[0] + PADDED_STEP[1] + PADDED_STEP[2]
        + slice * PADDED_STEP[axis] + line * PADDED_STEP[v];
      for (let rest = rows[line]!; rest !== 0; rest &= rest - 1) {
        const column = 31 - Math.clz32(rest & -rest);
        const index = base + column * PADDED_STEP[u];
        sliceKeys[32 * line + column] = voxels[index]! | (occlusionAt(occluders, index, direction) << 16)
          | (shades.values[index + shadeStep]! << 24);
      }
    }
    mergeSlice(quads, rows, slice, direction);
  }
}

/** Occlusion of a face's four corners, 2 bits each: the voxels around it in the layer it looks into. */
function occlusionAt(occluders: Uint8Array, index: number, direction: number): number {
  const { axis, sign, u, v } = FACES[direction]!;
  const front = index + sign * PADDED_STEP[axis];
  const [du, dv] = [PADDED_STEP[u], PADDED_STEP[v]];
  const [left, right] = [occluders[front - du]!, occluders[front + du]!];
  const [below, above] = [occluders[front - dv]!, occluders[front + dv]!];
  return corner(left, below, occluders[front - du - dv]!)
    | (corner(right, below, occluders[front + du - dv]!) << 2)
    | (corner(right, above, occluders[front + du + dv]!) << 4)
    | (corner(left, above, occluders[front - du + dv]!) << 6);
}

function corner(side: number, otherSide: number, diagonal: number): number {
  return side & otherSide ? 0 : 3 - side - otherSide - diagonal;
}

/** Whether a face's occlusion is the same at both ends along u. */
function mergesAlongU(key: number): boolean {
  const occlusion = key >>> 16;
  return (occlusion & 3) === ((occlusion >>> 2) & 3) && ((occlusion >>> 6) & 3) === ((occlusion >>> 4) & 3);
}

function mergesAlongV(key: number): boolean {
  const occlusion = key >>> 16;
  return (occlusion & 3) === ((occlusion >>> 6) & 3) && ((occlusion >>> 2) & 3) === ((occlusion >>> 4) & 3);
}

/** Cuts one slice's faces into rectangles and clears their bits. */
function mergeSlice(quads: QuadList, rows: Uint32Array, slice: number, direction: number): void {
  for (let line = 0; line < 32; line += 1) {
    while (rows[line] !== 0) {
      const bits = rows[line]!;
      const column = 31 - Math.clz32(bits & -bits);
      const key = sliceKeys[32 * line + column]!;
      const width = mergesAlongU(key) ? runWidth(bits, line, column, key) : 1;
      const mask = (width === 32 ? 0xffffffff : (1 << width) - 1) << column;
      const height = mergesAlongV(key) ? runHeight(rows, line, column, width, mask, key) : 1;
      for (let step = 0; step < height; step += 1) {
        rows[line + step]! &= ~mask;
      }
      pushFace(quads, direction, slice, column, line, width, height, key);
    }
  }
}

function runWidth(bits: number, line: number, column: number, key: number): number {
  let width = 1;
  while (column + width < 32 && (bits >>> (column + width)) & 1
    && sliceKeys[32 * line + column + width] === key) {
    width += 1;
  }
  return width;
}

function runHeight(
  rows: Uint32Array, line: number, column: number, width: number, mask: number, key: number,
): number {
  let height = 1;
  while (line + height < 32 && ((rows[line + height]! & mask) ^ mask) === 0
    && sameKeys(32 * (line + height) + column, width, key)) {
    height += 1;
  }
  return height;
}

function sameKeys(start: number, width: number, key: number): boolean {
  for (let index = start; index < start + width; index += 1) {
    if (sliceKeys[index] !== key) {
      return false;
    }
  }
  return true;
}

function pushFace(
  quads: QuadList, direction: number, slice: number, column: number, line: number,
  width: number, height: number, key: number,
): void {
  const { axis, u, v } = FACES[direction]!;
  const origin = [0, 0, 0];
  origin[axis] = slice;
  origin[u] = column;
  origin[v] = line;
  quads.push(packPlace(origin, width, height, direction, flips(key >>> 16)), key);
}

/** A quad is cut along the diagonal whose ends differ less, so that shade does not smear across it. */
function flips(occlusion: number): number {
  const [a, b] = [occlusion & 3, (occlusion >>> 2) & 3];
  const [c, d] = [(occlusion >>> 4) & 3, (occlusion >>> 6) & 3];
  return a + c < b + d ? 1 : 0;
}

/** The first word of a quad. */
export function packPlace(origin: readonly number[], width: number, height: number, direction: number, flip: number): number {
  return (origin[0]! | (origin[1]! << 5) | (origin[2]! << 10) | ((width - 1) << 15) | ((height - 1) << 20)
    | (direction << 25) | (flip << 29)) >>> 0;
}

/** The occlusion of a face with nothing around it. */
export const OPEN = 0xff;

/** A plant is two crossed quads, seen from both sides. */
function pushPlants(quads: QuadList, voxels: Uint16Array, cells: Uint8Array, shades: Uint8Array): void {
  for (let y = 0; y < 32; y += 1) {
    for (let z = 0; z < 32; z += 1) {
      const start = 1 + PADDED_SIDE * (z + 1 + PADDED_SIDE * (y + 1));
      for (let x = 0; x < 32; x += 1) {
        if (cells[start + x] !== DrawClass.plant) {
          continue;
        }
        for (let direction = FACES.length; direction < FACES.length + 4; direction += 1) {
          quads.push(packPlace([x, y, z], 1, 1, direction, 0), voxels[start + x]! | (OPEN << 16) | (shades[start + x]! << 24));
        }
      }
    }
  }
}
