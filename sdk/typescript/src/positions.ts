/** Positions of voxels, chunks and columns, and movement modes' names, as frames hold them. */
import { ProtocolError, utf8, type ByteReader, type ByteWriter } from "./bytes.ts";
import * as limits from "./limits.ts";

/** x, y, z of a voxel or of a chunk; y is up. */
export type Position = readonly [x: number, y: number, z: number];

/** x and z of a column, in units of 128 voxels. */
export type Column = readonly [x: number, z: number];

/** Whether a voxel position lies in the world. */
export function isVoxelPosition([x, y, z]: Position): boolean {
  return inside(x, limits.VOXEL_SIDE_LIMIT) && inside(y, limits.VOXEL_HEIGHT_LIMIT)
    && inside(z, limits.VOXEL_SIDE_LIMIT);
}

/** Whether a chunk position lies in the world. */
export function isChunkPosition([x, y, z]: Position): boolean {
  return inside(x, limits.CHUNK_SIDE_LIMIT) && inside(y, limits.CHUNK_HEIGHT_LIMIT)
    && inside(z, limits.CHUNK_SIDE_LIMIT);
}

/** Whether a column lies in the world. */
export function isColumn([x, z]: Column): boolean {
  const limit = limits.VOXEL_SIDE_LIMIT / limits.COLUMN_SIDE;
  return inside(x, limit) && inside(z, limit);
}

function inside(value: number, limit: number): boolean {
  return Number.isInteger(value) && value >= -limit && value < limit;
}

export function readPosition(reader: ByteReader): Position {
  return [reader.i32(), reader.i32(), reader.i32()];
}

export function readVoxelPosition(reader: ByteReader): Position {
  const position = readPosition(reader);
  if (!isVoxelPosition(position)) {
    throw reader.fail(`voxel ${position.join(", ")} lies outside the world`);
  }
  return position;
}

export function readChunkPosition(reader: ByteReader): Position {
  const position = readPosition(reader);
  if (!isChunkPosition(position)) {
    throw reader.fail(`chunk ${position.join(", ")} lies outside the world`);
  }
  return position;
}

export function writePosition(writer: ByteWriter, position: Position): void {
  for (const coordinate of position) {
    writer.i32(coordinate);
  }
}

export function readModeName(reader: ByteReader, byteCount: number): string {
  if (byteCount < 1 || byteCount > limits.MAX_MODE_NAME_BYTES) {
    throw reader.fail(`a mode's name of ${byteCount} bytes, 1 to ${limits.MAX_MODE_NAME_BYTES} allowed`);
  }
  return reader.text(byteCount);
}

export function modeName(name: string, where: string): Uint8Array {
  const bytes = utf8(name);
  require(bytes.length >= 1 && bytes.length <= limits.MAX_MODE_NAME_BYTES, `a mode's name of ${bytes.length} bytes`, where);
  return bytes;
}

/** Throws ProtocolError for what the protocol does not allow to be said. */
export function require(holds: boolean, what: string, where: string): void {
  if (!holds) {
    throw new ProtocolError(what, where, 0);
  }
}
