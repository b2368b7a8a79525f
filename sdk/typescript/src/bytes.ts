/** Checked little-endian reading and writing: the only place that touches a DataView. */

/** What was wrong with a byte stream, and where. */
export class ProtocolError extends Error {
  /** Name of the frame or field in which the rule was broken. */
  readonly where: string;
  /** Offset in the frame's payload, or in the stream for the magic and the header. */
  readonly offset: number;

  constructor(what: string, where: string, offset: number) {
    super(`${where}, byte ${offset}: ${what}`);
    this.name = "ProtocolError";
    this.where = where;
    this.offset = offset;
  }
}

const TEXT_DECODER = new TextDecoder("utf-8", { fatal: true });
const TEXT_ENCODER = new TextEncoder();

/** Bytes of a text in UTF-8. */
export function utf8(text: string): Uint8Array {
  return TEXT_ENCODER.encode(text);
}

/** Reads one payload from front to back; each read past the end is a ProtocolError that names the frame. */
export class ByteReader {
  private readonly view: DataView;
  private offset = 0;

  constructor(
    private readonly bytes: Uint8Array,
    readonly where: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.bytes.length - this.offset;
  }

  /** An error at the current offset. */
  fail(what: string): ProtocolError {
    return new ProtocolError(what, this.where, this.offset);
  }

  private advance(count: number): number {
    if (this.remaining < count) {
      throw this.fail(`${count} bytes expected, ${this.remaining} left`);
    }
    const start = this.offset;
    this.offset += count;
    return start;
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }

  u16(): number {
    return this.view.getUint16(this.advance(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }

  i32(): number {
    return this.view.getInt32(this.advance(4), true);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.advance(8), true);
  }

  /** A byte that is 0 or 1; `what` names it in the error. */
  flag(what: string): boolean {
    const value = this.u8();
    if (value > 1) {
      throw this.fail(`${what} ${value} must be 0 or 1`);
    }
    return value === 1;
  }

  /** A copy of the next `count` bytes, so that it may outlive the stream's buffer. */
  take(count: number): Uint8Array {
    const start = this.advance(count);
    return this.bytes.slice(start, start + count);
  }

  /** `count` u16 values. */
  u16Array(count: number): Uint16Array {
    const start = this.advance(2 * count);
    const values = new Uint16Array(count);
    for (let index = 0; index < count; index += 1) {
      values[index] = this.view.getUint16(start + 2 * index, true);
    }
    return values;
  }

  text(byteCount: number): string {
    const start = this.advance(byteCount);
    try {
      return TEXT_DECODER.decode(this.bytes.subarray(start, start + byteCount));
    } catch {
      throw new ProtocolError("text is not UTF-8", this.where, start);
    }
  }

  /** Reserved bytes, which this version wants to be 0. */
  zeros(count: number): void {
    const start = this.advance(count);
    for (let index = start; index < start + count; index += 1) {
      if (this.bytes[index] !== 0) {
        throw new ProtocolError("reserved bytes must be 0", this.where, index);
      }
    }
  }

  /** The payload must end here. */
  end(): void {
    if (this.remaining !== 0) {
      throw this.fail(`${this.remaining} bytes too many`);
    }
  }
}

/** Writes a payload into a buffer that grows. */
export class ByteWriter {
  private bytes = new Uint8Array(256);
  private view = new DataView(this.bytes.buffer);
  private offset = 0;

  private advance(count: number): number {
    const start = this.offset;
    this.offset += count;
    if (this.offset > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.offset, 2 * this.bytes.length));
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return start;
  }

  u8(value: number): void {
    const start = this.advance(1);
    this.view.setUint8(start, value);
  }

  u16(value: number): void {
    const start = this.advance(2);
    this.view.setUint16(start, value, true);
  }

  u32(value: number): void {
    const start = this.advance(4);
    this.view.setUint32(start, value, true);
  }

  i32(value: number): void {
    const start = this.advance(4);
    this.view.setInt32(start, value, true);
  }

  u64(value: bigint): void {
    const start = this.advance(8);
    this.view.setBigUint64(start, value, true);
  }

  put(bytes: Uint8Array): void {
    const start = this.advance(bytes.length);
    this.bytes.set(bytes, start);
  }

  u16Array(values: ArrayLike<number>): void {
    const start = this.advance(2 * values.length);
    for (let index = 0; index < values.length; index += 1) {
      this.view.setUint16(start + 2 * index, values[index]!, true);
    }
  }

  zeros(count: number): void {
    const start = this.advance(count);
    this.bytes.fill(0, start, start + count);
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.bytes.slice(0, this.offset);
  }
}
