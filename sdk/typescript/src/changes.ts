/** What changed in chunks, by docs/codec.md: each kind of number in a stream of its own. */
import { ByteReader, ByteWriter } from "./bytes.ts";
import { CHUNK_SIDE, CHUNK_VOXELS } from "./limits.ts";
import {
  bitsOf, packPlain, readBits, readSigned, readSmall, readVarint, unpackOuter, writeBits, writeSigned, writeVarint,
} from "./packed.ts";
import { isChunkPosition, type Position } from "./positions.ts";
import type { Version } from "./versions.ts";

/** What changed in one chunk. */
export interface ChunkChange {
  readonly chunk: Position;
  readonly from: Version;
  readonly to: Version;
  /** Three values a run: first local index, length, new block id. */
  readonly runs: Uint16Array;
}

const CHANGES = 0x20;
const ROWS = CHUNK_VOXELS / CHUNK_SIDE;
const INNER_BYTES = 1 << 20;
const U32_MAX = 0xffff_ffff;

/** Rows of one chunk that changed, and masks of which voxels. */
interface Rows {
  readonly rows: number[];
  readonly masks: number[];
}

/** Reads all that is left. */
export function readChanges(packed: ByteReader): { tick: bigint; chunks: ChunkChange[] } {
  const reader = unpackOuter(packed, INNER_BYTES);
  const layout = reader.u8();
  if (layout !== CHANGES) {
    throw reader.fail(`changes of the layout ${layout}, which this version does not know`);
  }
  const tick = readVarint(reader);
  // A chunk takes several bytes, and a block two.
  const count = readSmall(reader, reader.remaining, "more chunks than bytes");
  const table = reader.u16Array(readSmall(reader, reader.remaining, "more blocks than bytes"));
  const positions = readPositions(reader, count);
  const versions = readVersions(reader, count);
  const places = readPlaces(reader, count);
  const voxels = places.reduce((sum, { masks }) => sum + masks.reduce((n, mask) => n + onesOf(mask), 0), 0);
  if (voxels > 0 && table.length === 0) {
    throw reader.fail("voxels changed, and there is no block");
  }
  const numbers = readBits(reader, bitsOf(table.length), voxels);
  reader.end();
  if (numbers.some((number) => number >= table.length)) {
    throw reader.fail("a number has no block in the table");
  }
  let next = 0;
  const chunks = positions.map((chunk, index) => {
    const runs = runsOf(places[index]!, () => table[numbers[next++]!]!);
    return { chunk, ...versions[index]!, runs };
  });
  return { tick, chunks };
}

function onesOf(mask: number): number {
  let count = 0;
  for (let bits = mask | 0; bits !== 0; bits &= bits - 1) {
    count += 1;
  }
  return count;
}

function readPositions(reader: ByteReader, count: number): Position[] {
  const positions: Position[] = [];
  let [x, y, z] = [0, 0, 0];
  for (let index = 0; index < count; index += 1) {
    x += readSigned(reader);
    y += readSigned(reader);
    z += readSigned(reader);
    if (!isChunkPosition([x, y, z])) {
      throw reader.fail(`chunk ${x}, ${y}, ${z} lies outside the world`);
    }
    positions.push([x, y, z]);
  }
  return positions;
}

function readVersions(reader: ByteReader, count: number): { from: Version; to: Version }[] {
  const whole = (value: number) => {
    if (value < 0 || value > U32_MAX) {
      throw reader.fail("a version has more than 32 bits");
    }
    return value;
  };
  const list = Array.from({ length: count }, () => ({ from: { epoch: 0, count: 0 }, to: { epoch: 0, count: 0 } }));
  let epoch = 0;
  for (const { from } of list) {
    epoch = whole(epoch + readSigned(reader));
    from.epoch = epoch;
  }
  for (const { from } of list) {
    from.count = readSmall(reader, U32_MAX, "a version has more than 32 bits");
  }
  for (const { from, to } of list) {
    to.epoch = whole(from.epoch + readSigned(reader));
  }
  for (const { from, to } of list) {
    to.count = whole(from.count + 1 + readSigned(reader));
  }
  return list;
}

function readPlaces(reader: ByteReader, count: number): Rows[] {
  const counts: number[] = [];
  let all = 0;
  for (let index = 0; index < count; index += 1) {
    const rows = readSmall(reader, ROWS, "more rows than a chunk has");
    all += rows;
    if (2 * all > reader.remaining) {
      throw reader.fail("more rows than there are bytes");
    }
    counts.push(rows);
  }
  const lows = reader.take(count);
  const places = counts.map((rows) => {
    let next = 0;
    return Array.from({ length: rows }, () => {
      const row = next + readSmall(reader, ROWS - 1 - next, "a row is none of the chunk's");
      next = Math.min(row + 1, ROWS - 1);
      return row;
    });
  });
  return places.map((rows, index) => {
    const low = lows[index]!;
    const masks = rows.map(() => {
      const shifted = readSmall(reader, U32_MAX, "a mask has more bits than a row has voxels");
      const mask = shifted * 2 ** low;
      if (mask === 0 || mask > U32_MAX) {
        throw reader.fail("a mask is empty, or reaches beyond its row");
      }
      return mask;
    });
    return { rows, masks };
  });
}

/** Neighbours that became one block are one run. */
function runsOf({ rows, masks }: Rows, block: () => number): Uint16Array {
  const runs: number[] = [];
  rows.forEach((row, index) => {
    const mask = masks[index]!;
    for (let x = 0; x < CHUNK_SIDE; x += 1) {
      if (((mask >>> x) & 1) === 0) {
        continue;
      }
      const at = row * CHUNK_SIDE + x;
      const id = block();
      const last = runs.length - 3;
      if (last >= 0 && runs[last]! + runs[last + 1]! === at && runs[last + 2] === id) {
        runs[last + 1]! += 1;
      } else {
        runs.push(at, 1, id);
      }
    }
  });
  return Uint16Array.from(runs);
}

/** Rows and masks of runs, and the block of each voxel. */
function placesOf(runs: Uint16Array): Rows & { blocks: number[] } {
  const rows: number[] = [];
  const masks: number[] = [];
  const blocks: number[] = [];
  for (let at = 0; at < runs.length; at += 3) {
    for (let index = runs[at]!; index < runs[at]! + runs[at + 1]!; index += 1) {
      const row = index >> 5;
      if (rows.at(-1) !== row) {
        rows.push(row);
        masks.push(0);
      }
      masks[masks.length - 1] = (masks.at(-1)! | (1 << (index & 31))) >>> 0;
      blocks.push(runs[at + 2]!);
    }
  }
  return { rows, masks, blocks };
}

/** Puts changes out without the outer stage. */
export function writeChanges(writer: ByteWriter, tick: bigint, chunks: readonly ChunkChange[]): void {
  const inner = new ByteWriter();
  const places = chunks.map(({ runs }) => placesOf(runs));
  const blocks = places.flatMap((place) => place.blocks);
  const table = [...new Set(blocks)].sort((a, b) => a - b);
  inner.u8(CHANGES);
  writeVarint(inner, tick);
  writeVarint(inner, BigInt(chunks.length));
  writeVarint(inner, BigInt(table.length));
  inner.u16Array(table);
  let before: Position = [0, 0, 0];
  for (const { chunk } of chunks) {
    chunk.forEach((part, axis) => writeSigned(inner, part - before[axis]!));
    before = chunk;
  }
  let epoch = 0;
  for (const { from } of chunks) {
    writeSigned(inner, from.epoch - epoch);
    epoch = from.epoch;
  }
  chunks.forEach(({ from }) => writeVarint(inner, BigInt(from.count)));
  chunks.forEach(({ from, to }) => writeSigned(inner, to.epoch - from.epoch));
  chunks.forEach(({ from, to }) => writeSigned(inner, to.count - from.count - 1));
  const lows = places.map(({ masks }) => Math.min(...masks.map((mask) => 31 - Math.clz32(mask & -mask)), 31));
  places.forEach(({ rows }) => writeVarint(inner, BigInt(rows.length)));
  places.forEach(({ rows }, index) => inner.u8(rows.length === 0 ? 0 : lows[index]!));
  for (const { rows } of places) {
    rows.forEach((row, index) => writeVarint(inner, BigInt(index === 0 ? row : row - rows[index - 1]! - 1)));
  }
  places.forEach(({ masks }, index) => masks.forEach((mask) => writeVarint(inner, BigInt(mask >>> lows[index]!))));
  writeBits(inner, bitsOf(table.length), blocks.map((block) => table.indexOf(block)));
  packPlain(writer, inner.finish());
}
