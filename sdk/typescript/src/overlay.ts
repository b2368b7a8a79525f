/** The forms in which a byte a voxel travels: runs, a table with half-byte indexes, or bare bytes. */
import type { ByteReader } from "./bytes.ts";
import { CHUNK_VOXELS } from "./limits.ts";

/** The wire's numbers of the forms. */
export const OverlayForm = { nothing: 0, runs: 1, u4: 2, u8: 3 } as const;

const TABLE_LIMIT = 16;

/** Reads 32,768 values in local-index order; null for the form that has none. Throws ProtocolError. */
export function decodeOverlayValues(reader: ByteReader, form: number, count: number): Uint8Array | null {
  const hasCount = form === OverlayForm.runs || form === OverlayForm.u4;
  if (hasCount ? count < 1 || count > CHUNK_VOXELS : count !== 0) {
    throw reader.fail(`a count of ${count} for form ${form}`);
  }
  switch (form) {
    case OverlayForm.nothing: return null;
    case OverlayForm.runs: return decodeRuns(reader, count);
    case OverlayForm.u4: return decodeU4(reader, count);
    case OverlayForm.u8: return reader.take(CHUNK_VOXELS);
    default: throw reader.fail(`unknown form of an overlay ${form}`);
  }
}

function decodeRuns(reader: ByteReader, count: number): Uint8Array {
  const values = new Uint8Array(CHUNK_VOXELS);
  let next = 0;
  for (let index = 0; index < count; index += 1) {
    const length = reader.u16();
    if (length < 1 || next + length > CHUNK_VOXELS) {
      throw reader.fail(`run ${index} of ${length} voxels behind ${next}`);
    }
    values.fill(reader.u8(), next, next + length);
    next += length;
  }
  if (next !== CHUNK_VOXELS) {
    throw reader.fail(`${next} voxels in all runs, not ${CHUNK_VOXELS}`);
  }
  return values;
}

function decodeU4(reader: ByteReader, count: number): Uint8Array {
  if (count > TABLE_LIMIT) {
    throw reader.fail(`a table of ${count}, at most ${TABLE_LIMIT}`);
  }
  const table = reader.take(count);
  const indexes = reader.take(CHUNK_VOXELS / 2);
  const values = new Uint8Array(CHUNK_VOXELS);
  for (let at = 0; at < indexes.length; at += 1) {
    const [even, odd] = [indexes[at]! & 15, indexes[at]! >> 4];
    if (even >= count || odd >= count) {
      throw reader.fail(`index ${Math.max(even, odd)} in a table of ${count}`);
    }
    values[2 * at] = table[even]!;
    values[2 * at + 1] = table[odd]!;
  }
  return values;
}

/** The values in the form with the fewest bytes; of several equally small ones the first. */
export function encodeOverlayValues(values: Uint8Array | null): { form: number; count: number; bytes: Uint8Array } {
  if (values === null) {
    return { form: OverlayForm.nothing, count: 0, bytes: new Uint8Array(0) };
  }
  const runs: number[] = [];
  let count = 0;
  for (let first = 0; first < values.length; count += 1) {
    let end = first + 1;
    while (end < values.length && values[end] === values[first]) {
      end += 1;
    }
    runs.push((end - first) & 255, (end - first) >> 8, values[first]!);
    first = end;
  }
  const table = Uint8Array.from(new Set(values)).sort();
  const isSmall = table.length <= TABLE_LIMIT;
  if (runs.length <= (isSmall ? table.length + CHUNK_VOXELS / 2 : CHUNK_VOXELS)) {
    return { form: OverlayForm.runs, count, bytes: Uint8Array.from(runs) };
  }
  if (!isSmall) {
    return { form: OverlayForm.u8, count: 0, bytes: values };
  }
  const bytes = new Uint8Array(table.length + CHUNK_VOXELS / 2);
  bytes.set(table);
  values.forEach((value, index) => {
    bytes[table.length + (index >> 1)]! |= table.indexOf(value) << ((index & 1) << 2);
  });
  return { form: OverlayForm.u4, count: table.length, bytes };
}
