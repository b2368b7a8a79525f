/**
 * Every frame of the client protocol: its type, its encoder and its decoder.
 *
 * Pure functions over bytes. Lengths, counts and positions are checked before they are used; what
 * breaks a rule is thrown as a ProtocolError that says what and where.
 */
import { ByteReader, ByteWriter, ProtocolError, utf8 } from "./bytes.ts";
import { BodyPhase, VELOCITY_LIMIT } from "./fall.ts";
import { costPacking, decodeCosts, encodeCosts } from "./field.ts";
import {
  decodeAgentMoves, decodeAgents, decodeCrowd, decodeCrowdEnd, decodeCrowdRequest, decodeDismiss, encodeAgentMoves,
  encodeAgents, encodeCrowd, encodeCrowdEnd, encodeCrowdRequest, encodeDismiss,
  type AgentMoves, type Agents, type Crowd, type CrowdEnd, type CrowdRequest, type Dismiss,
} from "./crowd-frames.ts";
import {
  decodeDelta, decodeHolds, decodeLook, decodeSame, decodeSnapshot, encodeDelta, encodeHolds, encodeLook, encodeSame,
  encodeSnapshot, type Delta, type Holds, type Look, type Same, type Snapshot,
} from "./chunk-frames.ts";
import * as limits from "./limits.ts";
import {
  decodeUndoAct, decodeUndoGhost, decodeUndoPlan, decodeUndoProgress, decodeUndoRefused, decodeUndoRequest, encodeUndoAct,
  encodeUndoGhost, encodeUndoPlan, encodeUndoProgress, encodeUndoRefused, encodeUndoRequest,
  type UndoAct, type UndoGhost, type UndoPlan, type UndoProgress, type UndoRefused, type UndoRequest,
} from "./undo-frames.ts";
import { readVersion, writeVersion, type Version } from "./versions.ts";
import { decodeOverlayValues, encodeOverlayValues } from "./overlay.ts";
import {
  isChunkPosition, isVoxelPosition, modeName, readChunkPosition, readModeName, readPosition, readVoxelPosition, require,
  writePosition, type Position,
} from "./positions.ts";

export type { AgentMoves, AgentPlace, Agents, AgentStep, Crowd, CrowdEnd, CrowdRequest, Dismiss } from "./crowd-frames.ts";
export type { Delta, Holds, Look, Same, Snapshot } from "./chunk-frames.ts";
export type { ChunkChange } from "./changes.ts";
export {
  ChangeCause, UndoCause, UndoPhase, UndoRefusal, UndoStep, type GhostChunk, type UndoAct, type UndoGhost, type UndoOther,
  type UndoPlan, type UndoProgress, type UndoRefused, type UndoRequest, type UndoShare,
} from "./undo-frames.ts";
export { SnapshotForm } from "./forms.ts";
export { isChunkPosition, isVoxelPosition, type Column, type Position } from "./positions.ts";
export { sameVersion, type Version } from "./versions.ts";

/** The shape of a subscription, in chunks. */
export type Shape =
  | { readonly form: "box"; readonly first: Position; readonly end: Position }
  | {
      readonly form: "radius";
      readonly center: Position;
      readonly horizontal: number;
      readonly vertical: number;
      /** Chunks that are held stay until they are so many chunks further away; 0 if it is left out. */
      readonly margin?: number;
    };

/** One voxel of an Edit. */
export interface EditVoxel {
  readonly position: Position;
  readonly block: number;
}

/** A registry entry as it travels. */
export interface BlockEntry {
  readonly name: string;
  /** See BlockFlag. */
  readonly flags: number;
  /** Red, green, blue, 0–255. */
  readonly color: readonly [number, number, number];
  /** Light given off, 0–15. */
  readonly light: number;
}

/** Bits of a block's flags. */
export const BlockFlag = { solid: 1, opaque: 2, liquid: 4, picker: 8 } as const;

export interface Hello {
  readonly kind: "hello";
  readonly lowestVersion: number;
  readonly highestVersion: number;
  /** 16 bytes; zeros for a new session. */
  readonly session: Uint8Array;
  readonly name: string;
}
export interface Subscribe {
  readonly kind: "subscribe";
  readonly subscription: number;
  readonly shape: Shape;
}
export interface Edit {
  readonly kind: "edit";
  readonly sequence: bigint;
  readonly voxels: readonly EditVoxel[];
}
export interface Ping {
  readonly kind: "ping";
  readonly number: bigint;
}
export interface Blast {
  readonly kind: "blast";
  readonly sequence: bigint;
  readonly position: Position;
  readonly power: number;
}
/** Which overlays the client wants: a bit for each OverlayKind. */
export interface OverlayWish {
  readonly kind: "overlay";
  readonly kinds: number;
}
export interface Welcome {
  readonly kind: "welcome";
  readonly version: number;
  readonly resumed: boolean;
  readonly epoch: number;
  readonly session: Uint8Array;
  readonly world: Uint8Array;
  readonly tick: bigint;
  readonly acknowledged: bigint;
  readonly tickMicroseconds: number;
  readonly blockCount: number;
  readonly spawn: Position;
  /** What chunks are made from: what was kept under another number is void. */
  readonly identity: bigint;
}
export interface Registry {
  readonly kind: "registry";
  readonly firstBlock: number;
  readonly blocks: readonly BlockEntry[];
}
export interface Forget {
  readonly kind: "forget";
  readonly chunk: Position;
  readonly subscription: number;
}
/** An input that the server refused. */
export interface Refusal {
  readonly sequence: bigint;
  /** See REFUSAL_REASONS. */
  readonly reason: number;
}
export interface Acknowledge {
  readonly kind: "acknowledge";
  readonly sequence: bigint;
  readonly tick: bigint;
  readonly refusals: readonly Refusal[];
}
export interface Pong {
  readonly kind: "pong";
  readonly number: bigint;
  readonly tick: bigint;
}
export interface CaughtUp {
  readonly kind: "caughtUp";
  readonly subscription: number;
}
/** Voxels of one block beside each other along x; x, y, z are counted from the body's corner. */
export interface BodyRun {
  readonly first: Position;
  readonly length: number;
  readonly block: number;
}
/** A body, or a part of one. */
export interface BodyPart {
  readonly kind: "body";
  readonly handle: number;
  readonly tick: bigint;
  readonly origin: Position;
  /** The least x, y, z of its voxels where it began to fall. */
  readonly corner: Position;
  readonly part: number;
  readonly parts: number;
  /** Voxels in all parts. */
  readonly voxels: number;
  readonly runs: readonly BodyRun[];
}
/** Where a body is: fallen in 1/256 voxel, velocity in 1/256 voxel a tick. */
export interface BodyMove {
  readonly handle: number;
  readonly fallen: number;
  readonly velocity: number;
  /** See BodyPhase. */
  readonly phase: number;
}
export interface BodyMoves {
  readonly kind: "bodyMoves";
  readonly tick: bigint;
  readonly moves: readonly BodyMove[];
}
export interface BodyEnds {
  readonly kind: "bodyEnds";
  readonly handles: readonly number[];
}
export interface OverlayData {
  readonly kind: "overlayData";
  readonly chunk: Position;
  /** See OverlayKind. */
  readonly overlay: number;
  readonly version: Version;
  /** A byte a voxel in local-index order; null if the world knows no such thing. */
  readonly values: Uint8Array | null;
}
/** What is asked of a way; the numbers are the wire's. */
export const Wanted = { way: 0, reachable: 1 } as const;
/** A question about the way between two voxels. */
export interface PathRequest {
  readonly kind: "pathRequest";
  readonly request: number;
  /** See Wanted. */
  readonly wanted: number;
  /** How far around both ends the way may lead, in voxels. */
  readonly around: number;
  readonly mode: string;
  readonly from: Position;
  readonly to: Position;
}
/** A wish for a field over the box from `first` to before `end`, in voxels. */
export interface FieldRequest {
  readonly kind: "fieldRequest";
  readonly request: number;
  readonly mode: string;
  readonly goals: readonly Position[];
  readonly first: Position;
  readonly end: Position;
}
export interface Cancel {
  readonly kind: "cancel";
  readonly request: number;
}
/** Which of a block's costs a mode pays; the numbers are the wire's. */
export const Medium = { walk: 0, fly: 1, swim: 2, dig: 3 } as const;
/** A movement mode of the world. */
export interface Mode {
  readonly name: string;
  /** See Medium. */
  readonly medium: number;
  /** Whether it moves over edges and corners too. */
  readonly diagonal: boolean;
  readonly swim: boolean;
  readonly climb: boolean;
  readonly height: number;
  readonly width: number;
  readonly stepUp: number;
  readonly drop: number;
}
export interface Modes {
  readonly kind: "modes";
  readonly modes: readonly Mode[];
}
/** How far a way leads; the numbers are the wire's. */
export const PathEnd = { goal: 0, border: 1, unreachable: 2, tooFar: 3 } as const;
/** A part of a way. */
export interface PathAnswer {
  readonly kind: "pathAnswer";
  readonly request: number;
  readonly part: number;
  readonly last: boolean;
  /** See PathEnd. */
  readonly end: number;
  readonly cost: bigint;
  readonly searched: bigint;
  /** It is true after this tick. */
  readonly tick: bigint;
  readonly waypoints: readonly Position[];
}
/** What a field says of a chunk. */
export interface FieldChunk {
  readonly kind: "fieldChunk";
  readonly request: number;
  readonly chunk: Position;
  /** It is true after this tick. */
  readonly tick: bigint;
  /** For each voxel in local-index order the number of its move in EXITS, or one of FieldMove. */
  readonly moves: Uint8Array;
  /** What the way costs from each voxel that has a move, in local-index order. */
  readonly costs: Uint32Array;
}
export interface FieldState {
  readonly kind: "fieldState";
  readonly request: number;
  readonly current: boolean;
  readonly tick: bigint;
  readonly chunks: number;
}
/** The end of a request without an answer. */
export interface PathRefused {
  readonly kind: "pathRefused";
  readonly request: number;
  /** See PathRefusal. */
  readonly code: number;
  readonly text: string;
}
export interface Refused {
  readonly kind: "refused";
  readonly code: number;
  readonly text: string;
}

export type ClientFrame =
  | Hello | Subscribe | Edit | Ping | Blast | OverlayWish | PathRequest | FieldRequest | Cancel
  | CrowdRequest | Dismiss | Look | Holds | UndoRequest | UndoAct;
export type ServerFrame =
  | Welcome | Registry | Snapshot | Delta | Forget | Acknowledge | Pong | CaughtUp | BodyPart | BodyMoves | BodyEnds
  | OverlayData | Modes | PathAnswer | FieldChunk | FieldState | PathRefused | Crowd | Agents | AgentMoves | CrowdEnd
  | Same | UndoPlan | UndoGhost | UndoProgress | UndoRefused | Refused;
export type Frame = ClientFrame | ServerFrame;

/** Why an input was refused, for a person. */
export const REFUSAL_REASONS: Readonly<Record<number, string>> = {
  1: "unknown block",
  2: "outside the world's bounds",
  3: "the chunk could not be read",
  4: "the world is read-only",
  5: "a blast of no power, or of more than this world allows",
  6: "the world has no such movement mode",
  7: "agents that dig take up one voxel, and those of this mode more",
  8: "a goal is no place for the mode",
  9: "the box is empty or too large, or does not hold the goals",
  10: "there is no room for so many agents where they shall begin",
  11: "the world has as many agents, crowds or fields as it can",
  12: "there is no crowd of yours",
  13: "crowds need a world that has one owner",
};

/**
 * What OverlayData may show; the numbers are the wire's. Support: how much of what holds it arrives at a voxel, 255 anchored.
 * Light: of the sky in the high four bits, of blocks in the low four.
 */
export const OverlayKind = { support: 0, light: 1 } as const;

/** Why a request for a way or a field is not answered, or no longer; the numbers are the wire's. */
export const PathRefusal = {
  mode: 1,
  outsideWorld: 2,
  startBlocked: 3,
  goalBlocked: 4,
  tooFar: 5,
  box: 6,
  goalOutsideBox: 7,
  tooManyRequests: 8,
  unreadable: 9,
  noRoom: 10,
  cancelled: 11,
} as const;

/** Refused codes that the client acts on. */
export const RefusedCode = {
  noCommonVersion: 1,
  frameTooLong: 3,
  payloadDoesNotFit: 5,
  helloMissingOrRepeated: 6,
  valueOutOfBounds: 7,
  sequenceGap: 8,
  sessionInUse: 11,
} as const;

const KIND_NUMBERS: Readonly<Record<Frame["kind"], number>> = {
  hello: 0x0001,
  subscribe: 0x0002,
  edit: 0x0003,
  ping: 0x0004,
  blast: 0x0005,
  overlay: 0x0006,
  pathRequest: 0x0007,
  fieldRequest: 0x0008,
  cancel: 0x0009,
  crowdRequest: 0x000a,
  dismiss: 0x000b,
  look: 0x000c,
  holds: 0x000d,
  undoRequest: 0x000e,
  undoAct: 0x000f,
  welcome: 0x8001,
  registry: 0x8002,
  snapshot: 0x8003,
  delta: 0x8004,
  forget: 0x8005,
  acknowledge: 0x8006,
  pong: 0x8007,
  caughtUp: 0x8008,
  body: 0x8009,
  bodyMoves: 0x800a,
  bodyEnds: 0x800b,
  overlayData: 0x800c,
  modes: 0x800d,
  pathAnswer: 0x800e,
  fieldChunk: 0x800f,
  fieldState: 0x8010,
  pathRefused: 0x8011,
  crowd: 0x8012,
  agents: 0x8013,
  agentMoves: 0x8014,
  crowdEnd: 0x8015,
  same: 0x8016,
  undoPlan: 0x8017,
  undoGhost: 0x8018,
  undoProgress: 0x8019,
  undoRefused: 0x801a,
  refused: 0x80ff,
};

const DECODERS: Readonly<Record<number, readonly [Frame["kind"], (reader: ByteReader) => Frame]>> = {
  0x0001: ["hello", decodeHello],
  0x0002: ["subscribe", decodeSubscribe],
  0x0003: ["edit", decodeEdit],
  0x0004: ["ping", decodePing],
  0x0005: ["blast", decodeBlast],
  0x0006: ["overlay", decodeOverlayWish],
  0x0007: ["pathRequest", decodePathRequest],
  0x0008: ["fieldRequest", decodeFieldRequest],
  0x0009: ["cancel", decodeCancel],
  0x000a: ["crowdRequest", decodeCrowdRequest],
  0x000b: ["dismiss", decodeDismiss],
  0x000c: ["look", decodeLook],
  0x000d: ["holds", decodeHolds],
  0x000e: ["undoRequest", decodeUndoRequest],
  0x000f: ["undoAct", decodeUndoAct],
  0x8001: ["welcome", decodeWelcome],
  0x8002: ["registry", decodeRegistry],
  0x8003: ["snapshot", decodeSnapshot],
  0x8004: ["delta", decodeDelta],
  0x8005: ["forget", decodeForget],
  0x8006: ["acknowledge", decodeAcknowledge],
  0x8007: ["pong", decodePong],
  0x8008: ["caughtUp", decodeCaughtUp],
  0x8009: ["body", decodeBody],
  0x800a: ["bodyMoves", decodeBodyMoves],
  0x800b: ["bodyEnds", decodeBodyEnds],
  0x800c: ["overlayData", decodeOverlayData],
  0x800d: ["modes", decodeModes],
  0x800e: ["pathAnswer", decodePathAnswer],
  0x800f: ["fieldChunk", decodeFieldChunk],
  0x8010: ["fieldState", decodeFieldState],
  0x8011: ["pathRefused", decodePathRefused],
  0x8012: ["crowd", decodeCrowd],
  0x8013: ["agents", decodeAgents],
  0x8014: ["agentMoves", decodeAgentMoves],
  0x8015: ["crowdEnd", decodeCrowdEnd],
  0x8016: ["same", decodeSame],
  0x8017: ["undoPlan", decodeUndoPlan],
  0x8018: ["undoGhost", decodeUndoGhost],
  0x8019: ["undoProgress", decodeUndoProgress],
  0x801a: ["undoRefused", decodeUndoRefused],
  0x80ff: ["refused", decodeRefused],
};

/** Kinds from 0x8000 on travel from the server to the client. */
export function isServerKind(kindNumber: number): boolean {
  return kindNumber >= 0x8000;
}

/** Whether a kind number is known at all. */
export function isKnownKind(kindNumber: number): boolean {
  return DECODERS[kindNumber] !== undefined;
}

/** Decodes one payload. Throws ProtocolError. */
export function decodePayload(kindNumber: number, payload: Uint8Array): Frame {
  const entry = DECODERS[kindNumber];
  if (entry === undefined) {
    throw new ProtocolError(`unknown kind 0x${kindNumber.toString(16)}`, "frame header", 4);
  }
  const reader = new ByteReader(payload, entry[0]);
  const frame = entry[1](reader);
  reader.end();
  return frame;
}

/** One whole frame, header included. Throws ProtocolError for a value that the protocol does not allow. */
export function encodeFrame(frame: Frame): Uint8Array {
  const writer = new ByteWriter();
  writer.zeros(limits.HEADER_BYTES);
  encodePayload(writer, frame);
  const bytes = writer.finish();
  const payloadBytes = bytes.length - limits.HEADER_BYTES;
  const kindNumber = KIND_NUMBERS[frame.kind];
  const limit = isServerKind(kindNumber)
    ? limits.MAX_PAYLOAD_TO_CLIENT_BYTES
    : limits.MAX_PAYLOAD_TO_SERVER_BYTES;
  require(payloadBytes <= limit, `${payloadBytes} bytes of payload, at most ${limit}`, frame.kind);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payloadBytes, true);
  view.setUint16(4, kindNumber, true);
  return bytes;
}

function encodePayload(writer: ByteWriter, frame: Frame): void {
  switch (frame.kind) {
    case "hello": return encodeHello(writer, frame);
    case "subscribe": return encodeSubscribe(writer, frame);
    case "edit": return encodeEdit(writer, frame);
    case "ping": return writer.u64(frame.number);
    case "blast": return encodeBlast(writer, frame);
    case "overlay": return encodeOverlayWish(writer, frame);
    case "pathRequest": return encodePathRequest(writer, frame);
    case "fieldRequest": return encodeFieldRequest(writer, frame);
    case "cancel": return encodeCancel(writer, frame);
    case "crowdRequest": return encodeCrowdRequest(writer, frame);
    case "dismiss": return encodeDismiss(writer, frame);
    case "look": return encodeLook(writer, frame);
    case "holds": return encodeHolds(writer, frame);
    case "undoRequest": return encodeUndoRequest(writer, frame);
    case "undoAct": return encodeUndoAct(writer, frame);
    case "welcome": return encodeWelcome(writer, frame);
    case "registry": return encodeRegistry(writer, frame);
    case "snapshot": return encodeSnapshot(writer, frame);
    case "delta": return encodeDelta(writer, frame);
    case "forget": return encodeForget(writer, frame);
    case "acknowledge": return encodeAcknowledge(writer, frame);
    case "pong": return encodePong(writer, frame);
    case "caughtUp": return encodeCaughtUp(writer, frame);
    case "body": return encodeBody(writer, frame);
    case "bodyMoves": return encodeBodyMoves(writer, frame);
    case "bodyEnds": return encodeBodyEnds(writer, frame);
    case "overlayData": return encodeOverlayData(writer, frame);
    case "modes": return encodeModes(writer, frame);
    case "pathAnswer": return encodePathAnswer(writer, frame);
    case "fieldChunk": return encodeFieldChunk(writer, frame);
    case "fieldState": return encodeFieldState(writer, frame);
    case "pathRefused": return encodePathRefused(writer, frame);
    case "crowd": return encodeCrowd(writer, frame);
    case "agents": return encodeAgents(writer, frame);
    case "agentMoves": return encodeAgentMoves(writer, frame);
    case "crowdEnd": return encodeCrowdEnd(writer, frame);
    case "same": return encodeSame(writer, frame);
    case "undoPlan": return encodeUndoPlan(writer, frame);
    case "undoGhost": return encodeUndoGhost(writer, frame);
    case "undoProgress": return encodeUndoProgress(writer, frame);
    case "undoRefused": return encodeUndoRefused(writer, frame);
    case "refused": return encodeRefused(writer, frame);
  }
}

// From the client

function decodeHello(reader: ByteReader): Hello {
  const lowestVersion = reader.u16();
  const highestVersion = reader.u16();
  reader.zeros(4);
  const session = reader.take(16);
  const nameBytes = reader.u16();
  if (nameBytes > limits.MAX_NAME_BYTES) {
    throw reader.fail(`a name of ${nameBytes} bytes, at most ${limits.MAX_NAME_BYTES}`);
  }
  return { kind: "hello", lowestVersion, highestVersion, session, name: reader.text(nameBytes) };
}

function encodeHello(writer: ByteWriter, hello: Hello): void {
  const name = utf8(hello.name);
  require(name.length <= limits.MAX_NAME_BYTES, `a name of ${name.length} bytes`, "hello");
  require(hello.session.length === 16, "a session id has 16 bytes", "hello");
  writer.u16(hello.lowestVersion);
  writer.u16(hello.highestVersion);
  writer.zeros(4);
  writer.put(hello.session);
  writer.u16(name.length);
  writer.put(name);
}

function radiusChunkCount(horizontal: number, vertical: number): number {
  let footprint = 0;
  for (let dx = -horizontal; dx <= horizontal; dx += 1) {
    footprint += 2 * Math.floor(Math.sqrt(horizontal ** 2 - dx * dx)) + 1;
  }
  return footprint * (2 * vertical + 1);
}

/** Chunks that a shape holds, world borders not considered. */
export function shapeChunkCount(shape: Shape): number {
  if (shape.form === "box") {
    return [0, 1, 2].reduce((n, axis) => n * (shape.end[axis]! - shape.first[axis]!), 1);
  }
  return radiusChunkCount(shape.horizontal, shape.vertical);
}

/** Whether a chunk lies in a shape. */
export function shapeHolds(shape: Shape, [x, y, z]: Position): boolean {
  if (shape.form === "box") {
    const chunk = [x, y, z];
    return chunk.every((value, axis) => value >= shape.first[axis]! && value < shape.end[axis]!);
  }
  const [dx, dy, dz] = [x - shape.center[0], y - shape.center[1], z - shape.center[2]];
  return dx * dx + dz * dz <= shape.horizontal ** 2 && Math.abs(dy) <= shape.vertical;
}

/** What is wrong with a shape, or null. */
function shapeFault(shape: Shape): string | null {
  if (shape.form === "radius") {
    const radii = [shape.horizontal, shape.vertical];
    if (!radii.every((radius) => Number.isInteger(radius) && radius >= 0 && radius <= limits.MAX_RADIUS_CHUNKS)) {
      return `radii ${radii.join(", ")} must lie in 0..=${limits.MAX_RADIUS_CHUNKS}`;
    }
    const margin = shape.margin ?? 0;
    if (!Number.isInteger(margin) || margin < 0 || margin > limits.MAX_MARGIN_CHUNKS) {
      return `margin ${margin} must lie in 0..=${limits.MAX_MARGIN_CHUNKS}`;
    }
    const most = radiusChunkCount(shape.horizontal + margin, shape.vertical + margin);
    if (most > limits.MAX_SUBSCRIPTION_CHUNKS) {
      return `${most} chunks with the margin, at most ${limits.MAX_SUBSCRIPTION_CHUNKS}`;
    }
    if (!isChunkPosition(shape.center)) {
      return `centre chunk ${shape.center.join(", ")} lies outside the world`;
    }
  } else {
    const last: Position = [shape.end[0] - 1, shape.end[1] - 1, shape.end[2] - 1];
    if (!isChunkPosition(shape.first) || !isChunkPosition(last)) {
      return "the box reaches outside the world";
    }
    if (!shape.first.every((value, axis) => value < shape.end[axis]!)) {
      return "the box is empty";
    }
  }
  const count = shapeChunkCount(shape);
  return count <= limits.MAX_SUBSCRIPTION_CHUNKS
    ? null
    : `${count} chunks, at most ${limits.MAX_SUBSCRIPTION_CHUNKS}`;
}

function decodeSubscribe(reader: ByteReader): Subscribe {
  const subscription = reader.u32();
  const form = reader.u16();
  reader.zeros(2);
  if (form > 1) {
    throw reader.fail(`shape ${form} is neither box (0) nor radius (1)`);
  }
  const start = readPosition(reader);
  const [a, b, c] = readPosition(reader);
  const shape: Shape = form === 0
    ? { form: "box", first: start, end: [a, b, c] }
    : { form: "radius", center: start, horizontal: a, vertical: b, margin: c };
  const fault = shapeFault(shape);
  if (fault !== null) {
    throw reader.fail(fault);
  }
  return { kind: "subscribe", subscription, shape };
}

function encodeSubscribe(writer: ByteWriter, { subscription, shape }: Subscribe): void {
  const fault = shapeFault(shape);
  require(fault === null, fault ?? "", "subscribe");
  writer.u32(subscription);
  writer.u16(shape.form === "box" ? 0 : 1);
  writer.zeros(2);
  writePosition(writer, shape.form === "box" ? shape.first : shape.center);
  writePosition(writer, shape.form === "box" ? shape.end : [shape.horizontal, shape.vertical, shape.margin ?? 0]);
}

function decodeEdit(reader: ByteReader): Edit {
  const sequence = reader.u64();
  const count = reader.u16();
  reader.zeros(6);
  if (sequence === 0n) {
    throw reader.fail("input sequences start at 1");
  }
  if (count < 1 || count > limits.MAX_EDIT_VOXELS) {
    throw reader.fail(`${count} voxels, 1 to ${limits.MAX_EDIT_VOXELS} allowed`);
  }
  const voxels: EditVoxel[] = [];
  for (let index = 0; index < count; index += 1) {
    const position = readPosition(reader);
    const block = reader.u16();
    reader.zeros(2);
    voxels.push({ position, block });
  }
  return { kind: "edit", sequence, voxels };
}

function encodeEdit(writer: ByteWriter, { sequence, voxels }: Edit): void {
  require(voxels.length >= 1 && voxels.length <= limits.MAX_EDIT_VOXELS_PER_FRAME,
    `${voxels.length} voxels, 1 to ${limits.MAX_EDIT_VOXELS_PER_FRAME} allowed`, "edit");
  writer.u64(sequence);
  writer.u16(voxels.length);
  writer.zeros(6);
  for (const { position, block } of voxels) {
    writePosition(writer, position);
    writer.u16(block);
    writer.zeros(2);
  }
}

function decodePing(reader: ByteReader): Ping {
  return { kind: "ping", number: reader.u64() };
}

function decodeBlast(reader: ByteReader): Blast {
  const sequence = reader.u64();
  if (sequence === 0n) {
    throw reader.fail("input sequences start at 1");
  }
  const position = readPosition(reader);
  const power = reader.u8();
  reader.zeros(3);
  return { kind: "blast", sequence, position, power };
}

function encodeBlast(writer: ByteWriter, { sequence, position, power }: Blast): void {
  writer.u64(sequence);
  writePosition(writer, position);
  writer.u8(power);
  writer.zeros(3);
}

const OVERLAY_BITS = Object.values(OverlayKind).reduce((mask: number, kind) => mask | (1 << kind), 0);

function decodeOverlayWish(reader: ByteReader): OverlayWish {
  const kinds = reader.u32();
  if ((kinds & ~OVERLAY_BITS) !== 0) {
    throw reader.fail(`overlays ${kinds.toString(2)} hold a bit that means nothing`);
  }
  reader.zeros(4);
  return { kind: "overlay", kinds };
}

function encodeOverlayWish(writer: ByteWriter, { kinds }: OverlayWish): void {
  writer.u32(kinds);
  writer.zeros(4);
}

// From the server

function decodeWelcome(reader: ByteReader): Welcome {
  const version = reader.u16();
  const resumed = reader.u16();
  if (resumed > 1) {
    throw reader.fail(`resumed is ${resumed}, not 0 or 1`);
  }
  const epoch = reader.u32();
  const session = reader.take(16);
  const world = reader.take(16);
  const tick = reader.u64();
  const acknowledged = reader.u64();
  const tickMicroseconds = reader.u32();
  const blockCount = reader.u32();
  const spawn = readVoxelPosition(reader);
  reader.zeros(4);
  const identity = reader.u64();
  return {
    kind: "welcome", version, resumed: resumed === 1, epoch, session, world, tick, acknowledged,
    tickMicroseconds, blockCount, spawn, identity,
  };
}

function encodeWelcome(writer: ByteWriter, welcome: Welcome): void {
  require(welcome.session.length === 16 && welcome.world.length === 16, "ids have 16 bytes", "welcome");
  writer.u16(welcome.version);
  writer.u16(welcome.resumed ? 1 : 0);
  writer.u32(welcome.epoch);
  writer.put(welcome.session);
  writer.put(welcome.world);
  writer.u64(welcome.tick);
  writer.u64(welcome.acknowledged);
  writer.u32(welcome.tickMicroseconds);
  writer.u32(welcome.blockCount);
  writePosition(writer, welcome.spawn);
  writer.zeros(4);
  writer.u64(welcome.identity);
}

function decodeRegistry(reader: ByteReader): Registry {
  const firstBlock = reader.u16();
  const count = reader.u16();
  reader.zeros(4);
  if (firstBlock + count > 65_536) {
    throw reader.fail(`${count} blocks from id ${firstBlock} on pass the last id`);
  }
  const blocks: BlockEntry[] = [];
  for (let index = 0; index < count; index += 1) {
    blocks.push(decodeBlock(reader));
  }
  if (firstBlock === 0 && count > 0 && blocks[0]!.name !== "air") {
    throw reader.fail(`block 0 is ${blocks[0]!.name}, not air`);
  }
  return { kind: "registry", firstBlock, blocks };
}

function decodeBlock(reader: ByteReader): BlockEntry {
  const flags = reader.u8();
  const color = [reader.u8(), reader.u8(), reader.u8()] as const;
  const light = reader.u8();
  if (light > 15) {
    throw reader.fail(`light ${light}, at most 15`);
  }
  reader.zeros(1);
  return { flags, color, light, name: reader.text(reader.u16()) };
}

function encodeRegistry(writer: ByteWriter, { firstBlock, blocks }: Registry): void {
  writer.u16(firstBlock);
  writer.u16(blocks.length);
  writer.zeros(4);
  for (const block of blocks) {
    const name = utf8(block.name);
    writer.u8(block.flags);
    block.color.forEach((channel) => writer.u8(channel));
    writer.u8(block.light);
    writer.zeros(1);
    writer.u16(name.length);
    writer.put(name);
  }
}

function decodeForget(reader: ByteReader): Forget {
  return { kind: "forget", chunk: readChunkPosition(reader), subscription: reader.u32() };
}

function encodeForget(writer: ByteWriter, { chunk, subscription }: Forget): void {
  writePosition(writer, chunk);
  writer.u32(subscription);
}

function decodeAcknowledge(reader: ByteReader): Acknowledge {
  const sequence = reader.u64();
  const tick = reader.u64();
  const count = reader.u16();
  reader.zeros(6);
  const refusals: Refusal[] = [];
  for (let index = 0; index < count; index += 1) {
    const refused = reader.u64();
    const reason = reader.u16();
    reader.zeros(6);
    refusals.push({ sequence: refused, reason });
  }
  return { kind: "acknowledge", sequence, tick, refusals };
}

function encodeAcknowledge(writer: ByteWriter, { sequence, tick, refusals }: Acknowledge): void {
  writer.u64(sequence);
  writer.u64(tick);
  writer.u16(refusals.length);
  writer.zeros(6);
  for (const refusal of refusals) {
    writer.u64(refusal.sequence);
    writer.u16(refusal.reason);
    writer.zeros(6);
  }
}

function decodePong(reader: ByteReader): Pong {
  return { kind: "pong", number: reader.u64(), tick: reader.u64() };
}

function encodePong(writer: ByteWriter, { number, tick }: Pong): void {
  writer.u64(number);
  writer.u64(tick);
}

function decodeCaughtUp(reader: ByteReader): CaughtUp {
  const subscription = reader.u32();
  reader.zeros(4);
  return { kind: "caughtUp", subscription };
}

function encodeCaughtUp(writer: ByteWriter, { subscription }: CaughtUp): void {
  writer.u32(subscription);
  writer.zeros(4);
}

function decodeBody(reader: ByteReader): BodyPart {
  const handle = reader.u32();
  const tick = reader.u64();
  const origin = readVoxelPosition(reader);
  const corner = readVoxelPosition(reader);
  const [part, parts] = [reader.u16(), reader.u16()];
  const voxels = reader.u32();
  const count = reader.u32();
  const isSound = part < parts && parts <= limits.MAX_BODY_PARTS && voxels >= 1 && voxels <= limits.MAX_BODY_VOXELS
    && count >= 1 && count <= limits.MAX_BODY_RUNS;
  if (!isSound) {
    throw reader.fail(`part ${part} of ${parts} with ${count} runs of ${voxels} voxels`);
  }
  const runs: BodyRun[] = [];
  let [next, sum] = [0, 0];
  for (let index = 0; index < count; index += 1) {
    const [y, z, x, length] = [reader.u16(), reader.u8(), reader.u8(), reader.u8()];
    reader.zeros(1);
    const place = (y * limits.MAX_BODY_WIDTH + z) * limits.MAX_BODY_WIDTH + x;
    const isInside = z < limits.MAX_BODY_WIDTH && x + length <= limits.MAX_BODY_WIDTH
      && isVoxelPosition([corner[0] + x + length - 1, corner[1] + y, corner[2] + z]);
    if (length < 1 || place < next || !isInside) {
      throw reader.fail(`run ${index} of ${length} at ${x}, ${y}, ${z} is empty, out of order or outside`);
    }
    next = place + length;
    sum += length;
    runs.push({ first: [x, y, z], length, block: reader.u16() });
  }
  if (sum > voxels) {
    throw reader.fail(`${sum} voxels in the runs, ${voxels} in all`);
  }
  return { kind: "body", handle, tick, origin, corner, part, parts, voxels, runs };
}

function encodeBody(writer: ByteWriter, body: BodyPart): void {
  require(body.runs.length <= limits.MAX_BODY_RUNS, `${body.runs.length} runs`, "body");
  writer.u32(body.handle);
  writer.u64(body.tick);
  writePosition(writer, body.origin);
  writePosition(writer, body.corner);
  writer.u16(body.part);
  writer.u16(body.parts);
  writer.u32(body.voxels);
  writer.u32(body.runs.length);
  for (const { first: [x, y, z], length, block } of body.runs) {
    writer.u16(y);
    [z, x, length, 0].forEach((value) => writer.u8(value));
    writer.u16(block);
  }
}

function readBodyCount(reader: ByteReader): number {
  const count = reader.u32();
  if (count < 1 || count > limits.MAX_BODIES) {
    throw reader.fail(`${count} bodies, 1 to ${limits.MAX_BODIES} allowed`);
  }
  reader.zeros(4);
  return count;
}

function decodeBodyMoves(reader: ByteReader): BodyMoves {
  const tick = reader.u64();
  const count = readBodyCount(reader);
  const moves: BodyMove[] = [];
  for (let index = 0; index < count; index += 1) {
    const [handle, fallen, velocity, phase] = [reader.u32(), reader.u32(), reader.u16(), reader.u8()];
    reader.zeros(1);
    if (fallen > limits.VOXEL_HEIGHT_LIMIT * 512 || velocity > VELOCITY_LIMIT || phase > BodyPhase.shattering) {
      throw reader.fail(`a body that fell ${fallen} at ${velocity} in phase ${phase}`);
    }
    moves.push({ handle, fallen, velocity, phase });
  }
  return { kind: "bodyMoves", tick, moves };
}

function encodeBodyMoves(writer: ByteWriter, { tick, moves }: BodyMoves): void {
  writer.u64(tick);
  writer.u32(moves.length);
  writer.zeros(4);
  for (const { handle, fallen, velocity, phase } of moves) {
    writer.u32(handle);
    writer.u32(fallen);
    writer.u16(velocity);
    writer.u8(phase);
    writer.zeros(1);
  }
}

function decodeBodyEnds(reader: ByteReader): BodyEnds {
  const count = readBodyCount(reader);
  return { kind: "bodyEnds", handles: Array.from({ length: count }, () => reader.u32()) };
}

function encodeBodyEnds(writer: ByteWriter, { handles }: BodyEnds): void {
  writer.u32(handles.length);
  writer.zeros(4);
  handles.forEach((handle) => writer.u32(handle));
}

function decodeOverlayData(reader: ByteReader): OverlayData {
  const chunk = readChunkPosition(reader);
  const overlay = reader.u16();
  if (!(Object.values(OverlayKind) as number[]).includes(overlay)) {
    throw reader.fail(`unknown kind of overlay ${overlay}`);
  }
  const form = reader.u16();
  const version = readVersion(reader);
  const count = reader.u32();
  reader.zeros(4);
  return { kind: "overlayData", chunk, overlay, version, values: decodeOverlayValues(reader, form, count) };
}

function encodeOverlayData(writer: ByteWriter, { chunk, overlay, version, values }: OverlayData): void {
  const { form, count, bytes } = encodeOverlayValues(values);
  writePosition(writer, chunk);
  writer.u16(overlay);
  writer.u16(form);
  writeVersion(writer, version);
  writer.u32(count);
  writer.zeros(4);
  writer.put(bytes);
}

// Paths

function decodePathRequest(reader: ByteReader): PathRequest {
  const request = reader.u32();
  const wanted = reader.u8();
  if (wanted > Wanted.reachable) {
    throw reader.fail(`${wanted} is nothing that can be asked`);
  }
  const nameBytes = reader.u8();
  reader.zeros(2);
  const around = reader.u32();
  const [from, to] = [readPosition(reader), readPosition(reader)];
  return { kind: "pathRequest", request, wanted, around, mode: readModeName(reader, nameBytes), from, to };
}

function encodePathRequest(writer: ByteWriter, ask: PathRequest): void {
  const name = modeName(ask.mode, "pathRequest");
  writer.u32(ask.request);
  writer.u8(ask.wanted);
  writer.u8(name.length);
  writer.zeros(2);
  writer.u32(ask.around);
  writePosition(writer, ask.from);
  writePosition(writer, ask.to);
  writer.put(name);
}

function decodeFieldRequest(reader: ByteReader): FieldRequest {
  const request = reader.u32();
  const [nameBytes, count] = [reader.u8(), reader.u8()];
  if (count < 1 || count > limits.MAX_GOALS) {
    throw reader.fail(`${count} goals, 1 to ${limits.MAX_GOALS} allowed`);
  }
  reader.zeros(2);
  const [first, end] = [readPosition(reader), readPosition(reader)];
  const goals = Array.from({ length: count }, () => readPosition(reader));
  return { kind: "fieldRequest", request, mode: readModeName(reader, nameBytes), goals, first, end };
}

function encodeFieldRequest(writer: ByteWriter, ask: FieldRequest): void {
  const name = modeName(ask.mode, "fieldRequest");
  const count = ask.goals.length;
  require(count >= 1 && count <= limits.MAX_GOALS, `${count} goals, 1 to ${limits.MAX_GOALS} allowed`, "fieldRequest");
  writer.u32(ask.request);
  writer.u8(name.length);
  writer.u8(count);
  writer.zeros(2);
  writePosition(writer, ask.first);
  writePosition(writer, ask.end);
  ask.goals.forEach((goal) => writePosition(writer, goal));
  writer.put(name);
}

function decodeCancel(reader: ByteReader): Cancel {
  const request = reader.u32();
  reader.zeros(4);
  return { kind: "cancel", request };
}

function encodeCancel(writer: ByteWriter, { request }: Cancel): void {
  writer.u32(request);
  writer.zeros(4);
}

function decodeModes(reader: ByteReader): Modes {
  const count = reader.u16();
  if (count > limits.MAX_MODES) {
    throw reader.fail(`${count} modes, at most ${limits.MAX_MODES}`);
  }
  reader.zeros(6);
  return { kind: "modes", modes: Array.from({ length: count }, () => decodeMode(reader)) };
}

function decodeMode(reader: ByteReader): Mode {
  const [medium, flags] = [reader.u8(), reader.u8()];
  const [height, width, stepUp, drop] = [reader.u8(), reader.u8(), reader.u8(), reader.u8()];
  const nameBytes = reader.u8();
  reader.zeros(1);
  const isSound = medium <= Medium.dig && flags <= 7 && height >= 1 && height <= 8 && width >= 1 && width <= 4
    && stepUp <= 4 && drop <= 14;
  if (!isSound) {
    throw reader.fail(`a mode of medium ${medium}, flags ${flags}, ${width} wide and ${height} high, up ${stepUp}, down ${drop}`);
  }
  const [diagonal, swim, climb] = [(flags & 1) !== 0, (flags & 2) !== 0, (flags & 4) !== 0];
  return { name: readModeName(reader, nameBytes), medium, diagonal, swim, climb, height, width, stepUp, drop };
}

function encodeModes(writer: ByteWriter, { modes }: Modes): void {
  writer.u16(modes.length);
  writer.zeros(6);
  for (const mode of modes) {
    const name = modeName(mode.name, "modes");
    const flags = Number(mode.diagonal) | Number(mode.swim) << 1 | Number(mode.climb) << 2;
    [mode.medium, flags, mode.height, mode.width, mode.stepUp, mode.drop, name.length, 0].forEach((value) => writer.u8(value));
    writer.put(name);
  }
}

function decodePathAnswer(reader: ByteReader): PathAnswer {
  const [request, part] = [reader.u32(), reader.u16()];
  const last = reader.flag("the mark of a last part");
  const end = reader.u8();
  if (end > PathEnd.tooFar) {
    throw reader.fail(`a way that ends as ${end}`);
  }
  const [cost, searched, tick] = [reader.u64(), reader.u64(), reader.u64()];
  const count = reader.u32();
  if (count > limits.MAX_PART_WAYPOINTS) {
    throw reader.fail(`${count} waypoints, at most ${limits.MAX_PART_WAYPOINTS}`);
  }
  reader.zeros(4);
  const waypoints: Position[] = [];
  for (let index = 0; index < count; index += 1) {
    waypoints.push(readVoxelPosition(reader));
  }
  return { kind: "pathAnswer", request, part, last, end, cost, searched, tick, waypoints };
}

function encodePathAnswer(writer: ByteWriter, answer: PathAnswer): void {
  writer.u32(answer.request);
  writer.u16(answer.part);
  writer.u8(Number(answer.last));
  writer.u8(answer.end);
  [answer.cost, answer.searched, answer.tick].forEach((value) => writer.u64(value));
  writer.u32(answer.waypoints.length);
  writer.zeros(4);
  answer.waypoints.forEach((waypoint) => writePosition(writer, waypoint));
}

function decodeFieldChunk(reader: ByteReader): FieldChunk {
  const request = reader.u32();
  const chunk = readChunkPosition(reader);
  const tick = reader.u64();
  const [form, costBytes] = [reader.u8(), reader.u8()];
  reader.zeros(2);
  const [count, base] = [reader.u32(), reader.u32()];
  reader.zeros(4);
  const moves = decodeOverlayValues(reader, form, count);
  if (moves === null) {
    throw reader.fail("a field's chunk without moves");
  }
  return { kind: "fieldChunk", request, chunk, tick, moves, costs: decodeCosts(reader, moves, base, costBytes) };
}

function encodeFieldChunk(writer: ByteWriter, field: FieldChunk): void {
  const { form, count, bytes } = encodeOverlayValues(field.moves);
  const { base, costBytes } = costPacking(field.costs);
  writer.u32(field.request);
  writePosition(writer, field.chunk);
  writer.u64(field.tick);
  writer.u8(form);
  writer.u8(costBytes);
  writer.zeros(2);
  writer.u32(count);
  writer.u32(base);
  writer.zeros(4);
  writer.put(bytes);
  encodeCosts(writer, field.costs, base, costBytes);
}

function decodeFieldState(reader: ByteReader): FieldState {
  const request = reader.u32();
  const current = reader.flag("the state of a field");
  reader.zeros(3);
  const tick = reader.u64();
  const chunks = reader.u32();
  reader.zeros(4);
  return { kind: "fieldState", request, current, tick, chunks };
}

function encodeFieldState(writer: ByteWriter, state: FieldState): void {
  writer.u32(state.request);
  writer.u8(Number(state.current));
  writer.zeros(3);
  writer.u64(state.tick);
  writer.u32(state.chunks);
  writer.zeros(4);
}

function decodePathRefused(reader: ByteReader): PathRefused {
  const [request, code, byteCount] = [reader.u32(), reader.u16(), reader.u16()];
  if (code < 1 || code > PathRefusal.cancelled) {
    throw reader.fail(`a request refused for reason ${code}`);
  }
  return { kind: "pathRefused", request, code, text: reader.text(byteCount) };
}

function encodePathRefused(writer: ByteWriter, { request, code, text }: PathRefused): void {
  const bytes = utf8(text);
  writer.u32(request);
  writer.u16(code);
  writer.u16(bytes.length);
  writer.put(bytes);
}

function decodeRefused(reader: ByteReader): Refused {
  const code = reader.u16();
  const byteCount = reader.u16();
  reader.zeros(4);
  return { kind: "refused", code, text: reader.text(byteCount) };
}

function encodeRefused(writer: ByteWriter, { code, text }: Refused): void {
  const bytes = utf8(text);
  writer.u16(code);
  writer.u16(bytes.length);
  writer.zeros(4);
  writer.put(bytes);
}
