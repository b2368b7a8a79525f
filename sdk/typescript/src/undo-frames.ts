/** The frames about taking changes back: types, encoders and decoders. */
import { utf8, type ByteReader, type ByteWriter } from "./bytes.ts";
import { readChanges, writeChanges } from "./changes.ts";
import * as limits from "./limits.ts";
import { isVoxelPosition, readPosition, require, writePosition, type Position } from "./positions.ts";
import { sameVersion, type Version } from "./versions.ts";

/** Causes that may be meant, a bit each; the numbers are the wire's. Collapse holds landings and slides too. */
export const UndoCause = { edit: 1, blast: 2, collapse: 4, dig: 8, undo: 16 } as const;
/** What changed a voxel; the numbers are the wire's. */
export const ChangeCause = { edit: 1, blast: 2, collapse: 3, landing: 4, slide: 5, dig: 6, undo: 7 } as const;
/** What an UndoAct asks for; the numbers are the wire's. */
export const UndoStep = { start: 0, end: 1 } as const;
/** How far an undo is; the numbers are the wire's. */
export const UndoPhase = { waiting: 0, going: 1, done: 2, ended: 3 } as const;
/** Why an undo is refused; the numbers are the wire's. */
export const UndoRefusal = {
  notFromHere: 1,
  nobody: 2,
  tooMuch: 3,
  anotherGoesOn: 4,
  history: 5,
  noPlan: 6,
  world: 7,
} as const;

/** Asks what an undo would do. */
export interface UndoRequest {
  readonly kind: "undoRequest";
  readonly request: number;
  /** Bits of UndoCause; 0 for all but undo. */
  readonly causes: number;
  /** Whether it goes back also where somebody else has built since. */
  readonly overwrite: boolean;
  /** From its first voxel to before its end; null for the whole world. */
  readonly box: { readonly first: Position; readonly end: Position } | null;
  /** Whose changes; empty for everybody's. */
  readonly by: string;
  /** How long ago it may have been; 0 for as long as history goes back. */
  readonly sinceMs: bigint;
  /** The number of the undo that is to be taken back, or 0. */
  readonly undo: bigint;
}
export interface UndoAct {
  readonly kind: "undoAct";
  readonly request: number;
  /** See UndoStep. */
  readonly act: number;
}
/** Voxels that a cause changed last. */
export interface UndoShare {
  /** See ChangeCause. */
  readonly cause: number;
  readonly voxels: bigint;
}
/** Voxels that somebody else has changed since. */
export interface UndoOther extends UndoShare {
  readonly name: string;
}
/** What an undo would do. */
export interface UndoPlan {
  readonly kind: "undoPlan";
  readonly request: number;
  /** Chunks that would change. */
  readonly chunks: number;
  /** Voxels that would be put back. */
  readonly voxels: bigint;
  /** Voxels that are as they were already. */
  readonly unchanged: bigint;
  /** Voxels that somebody else has changed since. */
  readonly conflicts: bigint;
  /** Voxels in chunks that were loaded whole since. */
  readonly unknown: bigint;
  /** The tick that history goes back to, if it does not go back as far as was asked; else 0. */
  readonly historyFrom: bigint;
  /** Gaps in that history: less may be told than happened. */
  readonly gaps: number;
  readonly causes: readonly UndoShare[];
  readonly others: readonly UndoOther[];
}
/** What would be there in a chunk. */
export interface GhostChunk {
  readonly chunk: Position;
  /** Three values a run: first local index, length, block id. */
  readonly runs: Uint16Array;
}
export interface UndoGhost {
  readonly kind: "undoGhost";
  readonly request: number;
  readonly last: boolean;
  /** Whether there is more than is told. */
  readonly more: boolean;
  /** After which tick it would be there. */
  readonly tick: bigint;
  readonly chunks: readonly GhostChunk[];
}
export interface UndoProgress {
  readonly kind: "undoProgress";
  readonly request: number;
  /** See UndoPhase. */
  readonly state: number;
  /** The number of the undo, 0 before it has begun. */
  readonly undo: bigint;
  /** Voxels looked at, of so many. */
  readonly looked: bigint;
  readonly of: bigint;
  /** Voxels that were something else by then, and stayed. */
  readonly stayed: bigint;
}
export interface UndoRefused {
  readonly kind: "undoRefused";
  readonly request: number;
  /** See UndoRefusal. */
  readonly code: number;
  readonly text: string;
}

const CAUSE_BITS = Object.values(UndoCause).reduce((mask: number, bit) => mask | bit, 0);
const NO_VERSION: Version = { epoch: 0, count: 0 };
const NO_PLACE: Position = [0, 0, 0];

/** What is wrong with a box, or null. */
function boxFault(first: Position, end: Position): string | null {
  const last: Position = [end[0] - 1, end[1] - 1, end[2] - 1];
  if (!first.every((value, axis) => value < end[axis]!)) {
    return "the box is empty";
  }
  return isVoxelPosition(first) && isVoxelPosition(last) ? null : "the box reaches outside the world";
}

function readBox(reader: ByteReader, isThere: boolean): UndoRequest["box"] {
  if (!isThere) {
    reader.zeros(24);
    return null;
  }
  const [first, end] = [readPosition(reader), readPosition(reader)];
  const fault = boxFault(first, end);
  if (fault !== null) {
    throw reader.fail(fault);
  }
  return { first, end };
}

export function decodeUndoRequest(reader: ByteReader): UndoRequest {
  const [request, causes] = [reader.u32(), reader.u8()];
  if ((causes & ~CAUSE_BITS) !== 0) {
    throw reader.fail(`causes ${causes.toString(2)} hold a bit that means nothing`);
  }
  const overwrite = reader.flag("the rule for what others have built");
  const hasBox = reader.flag("whether there is a box");
  const nameBytes = reader.u8();
  if (nameBytes > limits.MAX_NAME_BYTES) {
    throw reader.fail(`a name of ${nameBytes} bytes, at most ${limits.MAX_NAME_BYTES}`);
  }
  const [sinceMs, undo] = [reader.u64(), reader.u64()];
  const box = readBox(reader, hasBox);
  return { kind: "undoRequest", request, causes, overwrite, box, by: reader.text(nameBytes), sinceMs, undo };
}

export function encodeUndoRequest(writer: ByteWriter, { request, causes, overwrite, box, by, sinceMs, undo }: UndoRequest): void {
  const name = utf8(by);
  require(name.length <= limits.MAX_NAME_BYTES, `a name of ${name.length} bytes, at most ${limits.MAX_NAME_BYTES}`, "undoRequest");
  require((causes & ~CAUSE_BITS) === 0, `causes ${causes.toString(2)} hold a bit that means nothing`, "undoRequest");
  const fault = box === null ? null : boxFault(box.first, box.end);
  require(fault === null, fault ?? "", "undoRequest");
  writer.u32(request);
  writer.u8(causes);
  writer.u8(Number(overwrite));
  writer.u8(Number(box !== null));
  writer.u8(name.length);
  writer.u64(sinceMs);
  writer.u64(undo);
  writePosition(writer, box?.first ?? NO_PLACE);
  writePosition(writer, box?.end ?? NO_PLACE);
  writer.put(name);
}

export function decodeUndoAct(reader: ByteReader): UndoAct {
  const [request, act] = [reader.u32(), reader.u8()];
  if (act > UndoStep.end) {
    throw reader.fail(`${act} is nothing that can be done with an undo`);
  }
  reader.zeros(3);
  return { kind: "undoAct", request, act };
}

export function encodeUndoAct(writer: ByteWriter, { request, act }: UndoAct): void {
  writer.u32(request);
  writer.u8(act);
  writer.zeros(3);
}

function readCause(reader: ByteReader): number {
  const cause = reader.u8();
  if (cause < ChangeCause.edit || cause > ChangeCause.undo) {
    throw reader.fail(`${cause} is the cause of nothing`);
  }
  return cause;
}

function readShare(reader: ByteReader): UndoShare {
  const cause = readCause(reader);
  reader.zeros(7);
  return { cause, voxels: reader.u64() };
}

function readOther(reader: ByteReader): UndoOther {
  const [cause, nameBytes] = [readCause(reader), reader.u8()];
  reader.zeros(6);
  const voxels = reader.u64();
  return { cause, voxels, name: reader.text(nameBytes) };
}

export function decodeUndoPlan(reader: ByteReader): UndoPlan {
  const [request, chunks] = [reader.u32(), reader.u32()];
  const [voxels, unchanged, conflicts, unknown, historyFrom] = [reader.u64(), reader.u64(), reader.u64(), reader.u64(), reader.u64()];
  const [causeCount, otherCount] = [reader.u16(), reader.u16()];
  if (causeCount > limits.MAX_UNDO_CAUSES || otherCount > limits.MAX_UNDO_OTHERS) {
    throw reader.fail(`${causeCount} causes and ${otherCount} others, at most ${limits.MAX_UNDO_CAUSES} and ${limits.MAX_UNDO_OTHERS}`);
  }
  const gaps = reader.u32();
  const causes = Array.from({ length: causeCount }, () => readShare(reader));
  const others = Array.from({ length: otherCount }, () => readOther(reader));
  return { kind: "undoPlan", request, chunks, voxels, unchanged, conflicts, unknown, historyFrom, gaps, causes, others };
}

export function encodeUndoPlan(writer: ByteWriter, plan: UndoPlan): void {
  const { causes, others } = plan;
  require(causes.length <= limits.MAX_UNDO_CAUSES && others.length <= limits.MAX_UNDO_OTHERS,
    `${causes.length} causes and ${others.length} others`, "undoPlan");
  writer.u32(plan.request);
  writer.u32(plan.chunks);
  [plan.voxels, plan.unchanged, plan.conflicts, plan.unknown, plan.historyFrom].forEach((count) => writer.u64(count));
  writer.u16(causes.length);
  writer.u16(others.length);
  writer.u32(plan.gaps);
  for (const { cause, voxels } of causes) {
    writer.u8(cause);
    writer.zeros(7);
    writer.u64(voxels);
  }
  others.forEach((other) => encodeOther(writer, other));
}

function encodeOther(writer: ByteWriter, { cause, voxels, name }: UndoOther): void {
  const bytes = utf8(name);
  require(bytes.length <= 255, `a name of ${bytes.length} bytes`, "undoPlan");
  writer.u8(cause);
  writer.u8(bytes.length);
  writer.zeros(6);
  writer.u64(voxels);
  writer.put(bytes);
}

export function decodeUndoGhost(reader: ByteReader): UndoGhost {
  const request = reader.u32();
  const last = reader.flag("whether no more follow");
  const more = reader.flag("whether there is more");
  reader.zeros(2);
  const { tick, chunks } = readChanges(reader);
  if (!chunks.every(({ from, to }) => sameVersion(from, NO_VERSION) && sameVersion(to, NO_VERSION))) {
    throw reader.fail("a chunk of what would be there has no version");
  }
  const voxels = chunks.reduce((sum, { runs }) => sum + voxelsOf(runs), 0);
  if (voxels > limits.MAX_GHOST_VOXELS) {
    throw reader.fail(`${voxels} voxels that would be there, at most ${limits.MAX_GHOST_VOXELS}`);
  }
  return { kind: "undoGhost", request, last, more, tick, chunks: chunks.map(({ chunk, runs }) => ({ chunk, runs })) };
}

export function encodeUndoGhost(writer: ByteWriter, { request, last, more, tick, chunks }: UndoGhost): void {
  writer.u32(request);
  writer.u8(Number(last));
  writer.u8(Number(more));
  writer.zeros(2);
  writeChanges(writer, tick, chunks.map((chunk) => ({ ...chunk, from: NO_VERSION, to: NO_VERSION })));
}

/** How many voxels runs have. */
export function voxelsOf(runs: Uint16Array): number {
  let count = 0;
  for (let at = 1; at < runs.length; at += 3) {
    count += runs[at]!;
  }
  return count;
}

export function decodeUndoProgress(reader: ByteReader): UndoProgress {
  const [request, state] = [reader.u32(), reader.u8()];
  if (state > UndoPhase.ended) {
    throw reader.fail(`an undo in state ${state}`);
  }
  reader.zeros(3);
  const [undo, looked, of, stayed] = [reader.u64(), reader.u64(), reader.u64(), reader.u64()];
  if (looked > of || stayed > looked) {
    throw reader.fail(`${looked} voxels looked at of ${of}, ${stayed} of which stayed`);
  }
  return { kind: "undoProgress", request, state, undo, looked, of, stayed };
}

export function encodeUndoProgress(writer: ByteWriter, { request, state, undo, looked, of, stayed }: UndoProgress): void {
  writer.u32(request);
  writer.u8(state);
  writer.zeros(3);
  [undo, looked, of, stayed].forEach((value) => writer.u64(value));
}

export function decodeUndoRefused(reader: ByteReader): UndoRefused {
  const [request, code, byteCount] = [reader.u32(), reader.u16(), reader.u16()];
  if (code < UndoRefusal.notFromHere || code > UndoRefusal.world) {
    throw reader.fail(`an undo refused for reason ${code}`);
  }
  return { kind: "undoRefused", request, code, text: reader.text(byteCount) };
}

export function encodeUndoRefused(writer: ByteWriter, { request, code, text }: UndoRefused): void {
  const bytes = utf8(text);
  writer.u32(request);
  writer.u16(code);
  writer.u16(bytes.length);
  writer.put(bytes);
}
