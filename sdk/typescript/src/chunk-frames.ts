/** The frames about chunks: whole, changed, the same as before; and what a client says of those that it holds and looks at. */
import { ByteReader, ByteWriter } from "./bytes.ts";
import { readChanges, writeChanges, type ChunkChange } from "./changes.ts";
import * as limits from "./limits.ts";
import { readVoxels, writeVoxels, type Voxels } from "./packed-chunk.ts";
import { readChunkPosition, readVoxelPosition, require, writePosition, type Position } from "./positions.ts";
import { readVersion, writeVersion, type Version } from "./versions.ts";

export interface Snapshot extends Voxels {
  readonly kind: "snapshot";
  readonly chunk: Position;
  readonly subscription: number;
  readonly version: Version;
}
export interface Delta {
  readonly kind: "delta";
  readonly tick: bigint;
  readonly chunks: readonly ChunkChange[];
}
/** Chunks that the client said it holds, and does. */
export interface Same {
  readonly kind: "same";
  readonly subscription: number;
  readonly chunks: readonly Position[];
}
/** Where the client looks from and to: what lies there comes first. */
export interface Look {
  readonly kind: "look";
  /** The voxel that the eye is in. */
  readonly eye: Position;
  /** Forwards along x, y, z, −128 to 127 each, of any length. */
  readonly forward: Position;
}
/** Chunks that the client holds from before, said ahead of the Subscribe that wants them. */
export interface Holds {
  readonly kind: "holds";
  readonly chunks: readonly { readonly chunk: Position; readonly version: Version }[];
}

export function decodeSnapshot(reader: ByteReader): Snapshot {
  const chunk = readChunkPosition(reader);
  const subscription = reader.u32();
  const version = readVersion(reader);
  return { kind: "snapshot", chunk, subscription, version, ...readVoxels(reader) };
}

export function encodeSnapshot(writer: ByteWriter, snapshot: Snapshot): void {
  writePosition(writer, snapshot.chunk);
  writer.u32(snapshot.subscription);
  writeVersion(writer, snapshot.version);
  writeVoxels(writer, snapshot);
}

export function decodeDelta(reader: ByteReader): Delta {
  return { kind: "delta", ...readChanges(reader) };
}

export function encodeDelta(writer: ByteWriter, { tick, chunks }: Delta): void {
  writeChanges(writer, tick, chunks);
}

export function decodeSame(reader: ByteReader): Same {
  const subscription = reader.u32();
  const count = reader.u32();
  if (count > limits.MAX_SAME_CHUNKS) {
    throw reader.fail(`${count} chunks, at most ${limits.MAX_SAME_CHUNKS}`);
  }
  return { kind: "same", subscription, chunks: Array.from({ length: count }, () => readChunkPosition(reader)) };
}

export function encodeSame(writer: ByteWriter, { subscription, chunks }: Same): void {
  writer.u32(subscription);
  writer.u32(chunks.length);
  chunks.forEach((chunk) => writePosition(writer, chunk));
}

export function decodeLook(reader: ByteReader): Look {
  const eye = readVoxelPosition(reader);
  const part = () => (reader.u8() << 24) >> 24;
  const forward: Position = [part(), part(), part()];
  reader.zeros(1);
  return { kind: "look", eye, forward };
}

export function encodeLook(writer: ByteWriter, { eye, forward }: Look): void {
  const isByte = (part: number) => Number.isInteger(part) && part >= -128 && part <= 127;
  require(forward.every(isByte), `forwards is ${forward.join(", ")}, which is not three signed bytes`, "look");
  writePosition(writer, eye);
  forward.forEach((part) => writer.u8(part & 255));
  writer.zeros(1);
}

export function decodeHolds(reader: ByteReader): Holds {
  const count = reader.u32();
  reader.zeros(4);
  if (count > limits.MAX_HOLDS_CHUNKS) {
    throw reader.fail(`${count} chunks, at most ${limits.MAX_HOLDS_CHUNKS}`);
  }
  const chunks = Array.from({ length: count }, () => ({ chunk: readChunkPosition(reader), version: readVersion(reader) }));
  return { kind: "holds", chunks };
}

export function encodeHolds(writer: ByteWriter, { chunks }: Holds): void {
  require(chunks.length <= limits.MAX_HOLDS_CHUNKS, `${chunks.length} chunks, at most ${limits.MAX_HOLDS_CHUNKS}`, "holds");
  writer.u32(chunks.length);
  writer.zeros(4);
  for (const { chunk, version } of chunks) {
    writePosition(writer, chunk);
    writeVersion(writer, version);
  }
}
