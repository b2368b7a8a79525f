/** The voxels of a chunk as they travel, by docs/codec.md: a row of 32 along x is told only where it is not what was expected. */
import { ByteReader, ByteWriter } from "./bytes.ts";
import { SnapshotForm } from "./forms.ts";
import { CHUNK_SIDE, CHUNK_VOXELS } from "./limits.ts";
import { packPlain, unpackOuter } from "./packed.ts";

/** A chunk's voxels: a table of block ids and indexes into it, or bare ids. */
export interface Voxels {
  /** See SnapshotForm. */
  readonly form: number;
  readonly table: Uint16Array;
  /** Raw bytes as the form says, in local-index order; empty for a uniform chunk. */
  readonly voxels: Uint8Array;
}

const UNIFORM = 1;
const ROWS_U4 = 2;
const ROWS_U8 = 3;
const PLAIN_U4 = 4;
const PLAIN_U8 = 5;
const PLAIN_U16 = 6;
const ROWS = CHUNK_VOXELS / CHUNK_SIDE;
/** More than the inner layout of any chunk without sparse data takes. */
const INNER_BYTES = 2 * CHUNK_VOXELS + 16;

/** Reads all that is left. */
export function readVoxels(packed: ByteReader): Voxels {
  const reader = unpackOuter(packed, INNER_BYTES);
  const voxels = readInner(reader);
  reader.end();
  return voxels;
}

function readInner(reader: ByteReader): Voxels {
  const layout = reader.u8();
  switch (layout) {
    case UNIFORM:
      return { form: SnapshotForm.uniform, table: reader.u16Array(1), voxels: new Uint8Array(0) };
    case PLAIN_U16:
      return { form: SnapshotForm.u16, table: new Uint16Array(0), voxels: reader.take(2 * CHUNK_VOXELS) };
    case ROWS_U4:
    case PLAIN_U4:
      return readIndexed(reader, SnapshotForm.u4, layout === ROWS_U4);
    case ROWS_U8:
    case PLAIN_U8:
      return readIndexed(reader, SnapshotForm.u8, layout === ROWS_U8);
    default:
      throw reader.fail(`a chunk of the layout ${layout}, which this version does not know`);
  }
}

function readIndexed(reader: ByteReader, form: number, isByRows: boolean): Voxels {
  const isNarrow = form === SnapshotForm.u4;
  const length = reader.u8() + 1;
  if (isNarrow && length > 16) {
    throw reader.fail(`a table of ${length} blocks for numbers of four bits`);
  }
  const table = reader.u16Array(length);
  const bytes = isNarrow ? CHUNK_VOXELS / 2 : CHUNK_VOXELS;
  const voxels = isByRows ? readRows(reader, isNarrow) : reader.take(bytes);
  const largest = isNarrow ? largestHalf(voxels) : largestByte(voxels);
  if (largest >= length) {
    throw reader.fail(`number ${largest} in a table of ${length}`);
  }
  return { form, table, voxels };
}

function largestByte(voxels: Uint8Array): number {
  let largest = 0;
  for (let at = 0; at < voxels.length; at += 1) {
    largest = voxels[at]! > largest ? voxels[at]! : largest;
  }
  return largest;
}

function largestHalf(voxels: Uint8Array): number {
  let largest = 0;
  for (let at = 0; at < voxels.length; at += 1) {
    const byte = voxels[at]!;
    const half = (byte & 15) > byte >> 4 ? byte & 15 : byte >> 4;
    largest = half > largest ? half : largest;
  }
  return largest;
}

/** The masks of the rows that are not what was expected. */
function readMasks(reader: ByteReader, changed: Uint8Array): Uint32Array {
  let count = 0;
  for (const byte of changed) {
    for (let bits = byte; bits !== 0; bits &= bits - 1) {
      count += 1;
    }
  }
  const planes = reader.take(4 * count);
  const masks = new Uint32Array(count);
  for (let n = 0; n < count; n += 1) {
    masks[n] = planes[n]! | (planes[count + n]! << 8) | (planes[2 * count + n]! << 16) | (planes[3 * count + n]! << 24);
  }
  return masks;
}

function ones(masks: Uint32Array): number {
  let count = 0;
  for (let n = 0; n < masks.length; n += 1) {
    for (let bits = masks[n]! | 0; bits !== 0; bits &= bits - 1) {
      count += 1;
    }
  }
  return count;
}

/** The numbers of all voxels, as bytes of one or of two numbers. */
function readRows(reader: ByteReader, isNarrow: boolean): Uint8Array {
  const changed = reader.take(ROWS / 8);
  const masks = readMasks(reader, changed);
  const voxelCount = ones(masks);
  const flags = reader.take(Math.ceil(voxelCount / 8));
  let valueCount = 0;
  for (let at = 0; at < voxelCount; at += 1) {
    valueCount += (flags[at >> 3]! >> (at & 7)) & 1;
  }
  const values = reader.take(isNarrow ? Math.ceil(valueCount / 2) : valueCount);
  const numbers = new Uint8Array(CHUNK_VOXELS);
  let [mask, voxel, value, number] = [0, 0, 0, 0];
  for (let row = 0; row < ROWS; row += 1) {
    const start = row * CHUNK_SIDE;
    // Like the row before along z, or, for the first of a layer, the first of the layer below.
    const like = row % CHUNK_SIDE === 0 ? start - CHUNK_SIDE * CHUNK_SIDE : start - CHUNK_SIDE;
    if (like >= 0) {
      numbers.copyWithin(start, like, like + CHUNK_SIDE);
    }
    if (((changed[row >> 3]! >> (row & 7)) & 1) === 0) {
      continue;
    }
    const bits = masks[mask]!;
    mask += 1;
    for (let x = 0; x < CHUNK_SIDE; x += 1) {
      if (((bits >>> x) & 1) === 0) {
        continue;
      }
      if (((flags[voxel >> 3]! >> (voxel & 7)) & 1) === 1) {
        number = isNarrow ? (values[value >> 1]! >> ((value & 1) << 2)) & 15 : values[value]!;
        value += 1;
      }
      voxel += 1;
      numbers[start + x] = number;
    }
  }
  return isNarrow ? narrow(numbers) : numbers;
}

/** Two numbers into each byte. */
function narrow(numbers: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(numbers.length / 2);
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] = numbers[2 * at]! | (numbers[2 * at + 1]! << 4);
  }
  return bytes;
}

/** Puts voxels out as they are. */
export function writeVoxels(writer: ByteWriter, { form, table, voxels }: Voxels): void {
  const inner = new ByteWriter();
  const layouts: Readonly<Record<number, number>> = {
    [SnapshotForm.uniform]: UNIFORM, [SnapshotForm.u4]: PLAIN_U4, [SnapshotForm.u8]: PLAIN_U8, [SnapshotForm.u16]: PLAIN_U16,
  };
  inner.u8(layouts[form]!);
  if (form === SnapshotForm.u4 || form === SnapshotForm.u8) {
    inner.u8(table.length - 1);
  }
  inner.u16Array(table);
  inner.put(voxels);
  packPlain(writer, inner.finish());
}
