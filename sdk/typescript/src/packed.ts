/**
 * What chunks and changes are packed in, as docs/codec.md has it: varints, bit streams, and the outer stage.
 *
 * Decoding is total: any bytes are a value or a ProtocolError, and make no more than they are allowed to.
 */
import { decompress } from "fzstd";
import { ByteReader, type ByteWriter } from "./bytes.ts";

/** The inner layout follows as it is. */
const PLAIN = 0x10;
/** The length of the inner layout, then one zstd frame. */
const ZSTD = 0x11;
/** What zstd makes of four bytes at most: a block. */
const ZSTD_BLOCK_BYTES = 131_072;

/** The inner layout of all that is left in `reader`, of at most `most` bytes. */
export function unpackOuter(reader: ByteReader, most: number): ByteReader {
  const stage = reader.u8();
  if (stage !== PLAIN && stage !== ZSTD) {
    throw reader.fail(`an outer stage ${stage}, which this version does not know`);
  }
  const length = stage === PLAIN ? reader.remaining : Number(readVarint(reader));
  if (length > most || length / ZSTD_BLOCK_BYTES > reader.remaining) {
    throw reader.fail(`${length} bytes, of which ${most} are allowed`);
  }
  const packed = reader.take(reader.remaining);
  if (stage === PLAIN) {
    return new ByteReader(packed, reader.where);
  }
  return new ByteReader(undoZstd(reader, packed, length), reader.where);
}

function undoZstd(reader: ByteReader, packed: Uint8Array, length: number): Uint8Array {
  const inner = new Uint8Array(length);
  let made: Uint8Array;
  try {
    made = decompress(packed, inner);
  } catch (error) {
    throw reader.fail(`zstd: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (made.length !== length) {
    throw reader.fail(`zstd: ${made.length} bytes came out where ${length} were said to be`);
  }
  return made;
}

/** Puts an inner layout out as it is: whoever only talks to one client gains nothing by packing. */
export function packPlain(writer: ByteWriter, inner: Uint8Array): void {
  writer.u8(PLAIN);
  writer.put(inner);
}

/** A number of seven bits a byte, the lowest first. */
export function readVarint(reader: ByteReader): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = reader.u8();
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) {
      if (value >= 1n << 64n || (byte === 0 && shift > 0n)) {
        break;
      }
      return value;
    }
  }
  throw reader.fail("a number of more than 64 bits, or of more bytes than it needs");
}

/** A varint that has to lie in 0..=most. */
export function readSmall(reader: ByteReader, most: number, what: string): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 42; scale *= 128) {
    const byte = reader.u8();
    value += (byte & 127) * scale;
    if (byte < 128) {
      if (value > most) {
        break;
      }
      return value;
    }
  }
  throw reader.fail(`${what}, at most ${most}`);
}

/** A signed number that is small enough to be counted with. */
export function readSigned(reader: ByteReader): number {
  const value = readSmall(reader, 2 ** 41, "a difference that nothing has");
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

export function writeVarint(writer: ByteWriter, value: bigint): void {
  let left = value;
  while (left > 127n) {
    writer.u8(Number(left & 127n) | 128);
    left >>= 7n;
  }
  writer.u8(Number(left));
}

export function writeSigned(writer: ByteWriter, value: number): void {
  writeVarint(writer, value < 0 ? BigInt(-value) * 2n - 1n : BigInt(value) * 2n);
}

/** Bits that a number below `count` needs. */
export function bitsOf(count: number): number {
  return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
}

/** `count` numbers of `bits` bits each, the lowest bits of a byte first. */
export function readBits(reader: ByteReader, bits: number, count: number): Uint32Array {
  const bytes = reader.take(Math.ceil(count * bits / 8));
  const values = new Uint32Array(count);
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    let value = 0;
    for (let taken = 0; taken < bits;) {
      const free = Math.min(8 - (at & 7), bits - taken);
      value |= ((bytes[at >> 3]! >> (at & 7)) & ((1 << free) - 1)) << taken;
      taken += free;
      at += free;
    }
    values[index] = value;
  }
  return values;
}

export function writeBits(writer: ByteWriter, bits: number, values: readonly number[]): void {
  const bytes = new Uint8Array(Math.ceil(values.length * bits / 8));
  values.forEach((value, index) => {
    for (let bit = 0; bit < bits; bit += 1) {
      const at = index * bits + bit;
      bytes[at >> 3]! |= ((value >> bit) & 1) << (at & 7);
    }
  });
  writer.put(bytes);
}
