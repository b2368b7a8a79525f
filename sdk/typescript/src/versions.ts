/** Versions of chunks. */
import type { ByteReader, ByteWriter } from "./bytes.ts";

/** Version of a chunk: grows by count within an epoch; (0, 0) means that nothing is held. */
export interface Version {
  readonly epoch: number;
  readonly count: number;
}

export function readVersion(reader: ByteReader): Version {
  const count = reader.u32();
  return { epoch: reader.u32(), count };
}

export function writeVersion(writer: ByteWriter, version: Version): void {
  writer.u32(version.count);
  writer.u32(version.epoch);
}

/** Whether two versions are the same. */
export function sameVersion(a: Version, b: Version): boolean {
  return a.epoch === b.epoch && a.count === b.count;
}
