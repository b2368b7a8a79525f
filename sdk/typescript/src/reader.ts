/** Cuts a byte stream that comes in pieces into frames. It owns no socket. */
import { ProtocolError } from "./bytes.ts";
import { decodePayload, isKnownKind, isServerKind, type Frame } from "./frames.ts";
import * as limits from "./limits.ts";

/** Which end of the connection wrote the stream. */
export type Sender = "server" | "client";

/** Feeds on byte pieces of any size and yields whole, checked frames. */
export class FrameReader {
  private buffer = new Uint8Array(4_096);
  private start = 0;
  private end = 0;
  private streamOffset = 0;
  private magicSeen: boolean;

  /** `withMagic`: false for a stream whose four magic bytes have been consumed already. */
  constructor(private readonly sender: Sender, withMagic = true) {
    this.magicSeen = !withMagic;
  }

  /** Takes the next piece and returns the frames that it completed. Throws ProtocolError. */
  push(piece: Uint8Array): Frame[] {
    this.append(piece);
    const frames: Frame[] = [];
    if (!this.magicSeen && !this.readMagic()) {
      return frames;
    }
    for (let frame = this.next(); frame !== null; frame = this.next()) {
      frames.push(frame);
    }
    return frames;
  }

  /** Bytes that wait for the rest of their frame. */
  get pendingBytes(): number {
    return this.end - this.start;
  }

  private append(piece: Uint8Array): void {
    const needed = this.pendingBytes + piece.length;
    if (this.end + piece.length > this.buffer.length) {
      const target = needed > this.buffer.length ? new Uint8Array(2 * needed) : this.buffer;
      target.set(this.buffer.subarray(this.start, this.end));
      this.buffer = target;
      this.end -= this.start;
      this.start = 0;
    }
    this.buffer.set(piece, this.end);
    this.end += piece.length;
  }

  private consume(count: number): void {
    this.start += count;
    this.streamOffset += count;
  }

  private readMagic(): boolean {
    const present = Math.min(this.pendingBytes, limits.MAGIC.length);
    for (let index = 0; index < present; index += 1) {
      if (this.buffer[this.start + index] !== limits.MAGIC[index]) {
        throw new ProtocolError("the stream does not start with TRNE", "magic", index);
      }
    }
    if (present < limits.MAGIC.length) {
      return false;
    }
    this.consume(limits.MAGIC.length);
    this.magicSeen = true;
    return true;
  }

  private next(): Frame | null {
    if (this.pendingBytes < limits.HEADER_BYTES) {
      return null;
    }
    const view = new DataView(this.buffer.buffer, this.start, limits.HEADER_BYTES);
    const length = view.getUint32(0, true);
    const kindNumber = view.getUint16(4, true);
    this.checkHeader(length, kindNumber, view.getUint16(6, true));
    const frameBytes = limits.HEADER_BYTES + length;
    if (this.pendingBytes < frameBytes) {
      return null;
    }
    const from = this.start + limits.HEADER_BYTES;
    const frame = decodePayload(kindNumber, this.buffer.subarray(from, from + length));
    this.consume(frameBytes);
    return frame;
  }

  private checkHeader(length: number, kindNumber: number, flags: number): void {
    const limit = this.sender === "server"
      ? limits.MAX_PAYLOAD_TO_CLIENT_BYTES
      : limits.MAX_PAYLOAD_TO_SERVER_BYTES;
    const fail = (what: string) => new ProtocolError(what, "frame header", this.streamOffset);
    if (length > limit) {
      throw fail(`${length} bytes of payload, at most ${limit}`);
    }
    if (flags !== 0) {
      throw fail(`flags ${flags} must be 0`);
    }
    if (!isKnownKind(kindNumber) || isServerKind(kindNumber) !== (this.sender === "server")) {
      throw fail(`kind 0x${kindNumber.toString(16).padStart(4, "0")} is not one that a ${this.sender} sends`);
    }
  }
}

/** Decodes exactly one whole frame, header included, from either side. Throws ProtocolError. */
export function decodeFrame(bytes: Uint8Array): Frame {
  const kindNumber = bytes.length >= 6 ? bytes[4]! | (bytes[5]! << 8) : 0;
  const reader = new FrameReader(isServerKind(kindNumber) ? "server" : "client", false);
  const frames = reader.push(bytes);
  if (frames.length !== 1 || reader.pendingBytes !== 0) {
    throw new ProtocolError(`${bytes.length} bytes are not one whole frame`, "frame", 0);
  }
  return frames[0]!;
}
