/** The frames about crowds and their agents: types, encoders and decoders. */
import type { ByteReader, ByteWriter } from "./bytes.ts";
import { EXITS } from "./field.ts";
import * as limits from "./limits.ts";
import {
  isColumn, isVoxelPosition, modeName, readModeName, readPosition, readVoxelPosition, require, writePosition, type Column, type Position,
} from "./positions.ts";

/** A wish for a crowd; boxes reach from their first voxel to before their end. */
export interface CrowdRequest {
  readonly kind: "crowdRequest";
  readonly sequence: bigint;
  readonly mode: string;
  readonly goals: readonly Position[];
  /** The box that agents stay in. */
  readonly first: Position;
  readonly end: Position;
  /** The box that they begin in. */
  readonly fromFirst: Position;
  readonly fromEnd: Position;
  readonly agents: number;
  /** What each gathers in a tick, in 1/256 of a unit of cost. */
  readonly speed: number;
}
/** Takes all crowds of the session out of the world. */
export interface Dismiss {
  readonly kind: "dismiss";
  readonly sequence: bigint;
}
/** A crowd whose agents are told of next. */
export interface Crowd {
  readonly kind: "crowd";
  readonly handle: number;
  /** The input of this session that asked for it, or 0. */
  readonly sequence: bigint;
  readonly mode: string;
  readonly speed: number;
  readonly goals: readonly Position[];
  readonly first: Position;
  readonly end: Position;
}
/** Where an agent is. */
export interface AgentPlace {
  /** Its number in its crowd. */
  readonly number: number;
  readonly position: Position;
  /** The number in EXITS of its last step, if it has moved. */
  readonly exit: number | null;
}
/** All agents of a crowd in a column, in order of their numbers. */
export interface Agents {
  readonly kind: "agents";
  readonly handle: number;
  readonly column: Column;
  /** It is true after this tick. */
  readonly tick: bigint;
  readonly agents: readonly AgentPlace[];
}
/** What an agent did: a step inside its column, or none if it is there no more. */
export interface AgentStep {
  readonly number: number;
  readonly exit: number | null;
}
/** What the agents of a crowd did in a column in a tick. */
export interface AgentMoves {
  readonly kind: "agentMoves";
  readonly handle: number;
  readonly column: Column;
  /** The tick that they were told of last. */
  readonly from: bigint;
  readonly tick: bigint;
  readonly steps: readonly AgentStep[];
  /** Those who were not there before. */
  readonly entered: readonly AgentPlace[];
}
/** A crowd is gone, with all its agents. */
export interface CrowdEnd {
  readonly kind: "crowdEnd";
  readonly handle: number;
}

/** What stands for no exit. */
const NO_EXIT = 31;

function readSequence(reader: ByteReader): bigint {
  const sequence = reader.u64();
  if (sequence === 0n) {
    throw reader.fail("input sequences start at 1");
  }
  return sequence;
}

export function decodeCrowdRequest(reader: ByteReader): CrowdRequest {
  const sequence = readSequence(reader);
  const [agents, speed] = [reader.u32(), reader.u16()];
  const [count, nameBytes] = [reader.u8(), reader.u8()];
  if (agents < 1 || agents > limits.MAX_AGENTS || speed < 1 || count < 1 || count > limits.MAX_GOALS) {
    throw reader.fail(`${agents} agents of speed ${speed} with ${count} goals`);
  }
  const [fromFirst, fromEnd] = [readPosition(reader), readPosition(reader)];
  const [first, end] = [readPosition(reader), readPosition(reader)];
  const goals = Array.from({ length: count }, () => readPosition(reader));
  const mode = readModeName(reader, nameBytes);
  return { kind: "crowdRequest", sequence, mode, goals, first, end, fromFirst, fromEnd, agents, speed };
}

export function encodeCrowdRequest(writer: ByteWriter, ask: CrowdRequest): void {
  const name = modeName(ask.mode, "crowdRequest");
  const { agents, speed, goals: { length: count } } = ask;
  require(agents >= 1 && agents <= limits.MAX_AGENTS, `${agents} agents, 1 to ${limits.MAX_AGENTS} allowed`, "crowdRequest");
  require(speed >= 1 && speed <= 0xffff, `a speed of ${speed}, 1 to 65535 allowed`, "crowdRequest");
  require(count >= 1 && count <= limits.MAX_GOALS, `${count} goals, 1 to ${limits.MAX_GOALS} allowed`, "crowdRequest");
  writer.u64(ask.sequence);
  writer.u32(agents);
  writer.u16(speed);
  writer.u8(count);
  writer.u8(name.length);
  [ask.fromFirst, ask.fromEnd, ask.first, ask.end, ...ask.goals].forEach((position) => writePosition(writer, position));
  writer.put(name);
}

export function decodeDismiss(reader: ByteReader): Dismiss {
  return { kind: "dismiss", sequence: readSequence(reader) };
}

export function encodeDismiss(writer: ByteWriter, { sequence }: Dismiss): void {
  writer.u64(sequence);
}

export function decodeCrowd(reader: ByteReader): Crowd {
  const [handle, speed, count] = [reader.u32(), reader.u16(), reader.u16()];
  if (speed < 1 || count < 1 || count > limits.MAX_CROWD_GOALS) {
    throw reader.fail(`a crowd of speed ${speed} with ${count} goals`);
  }
  const sequence = reader.u64();
  const [first, end] = [readPosition(reader), readPosition(reader)];
  const isBox = isVoxelPosition(first) && first.every((part, axis) => part < end[axis]!)
    && isVoxelPosition([end[0] - 1, end[1] - 1, end[2] - 1]);
  if (!isBox) {
    throw reader.fail(`a crowd's box from ${first.join(", ")} to ${end.join(", ")}`);
  }
  const nameBytes = reader.u8();
  reader.zeros(7);
  const goals = Array.from({ length: count }, () => readVoxelPosition(reader));
  return { kind: "crowd", handle, sequence, mode: readModeName(reader, nameBytes), speed, goals, first, end };
}

export function encodeCrowd(writer: ByteWriter, crowd: Crowd): void {
  const name = modeName(crowd.mode, "crowd");
  writer.u32(crowd.handle);
  writer.u16(crowd.speed);
  writer.u16(crowd.goals.length);
  writer.u64(crowd.sequence);
  [crowd.first, crowd.end].forEach((position) => writePosition(writer, position));
  writer.u8(name.length);
  writer.zeros(7);
  crowd.goals.forEach((goal) => writePosition(writer, goal));
  writer.put(name);
}

function readColumn(reader: ByteReader): Column {
  const column: Column = [reader.i32(), reader.i32()];
  if (!isColumn(column)) {
    throw reader.fail(`column ${column.join(", ")} lies outside the world`);
  }
  return column;
}

function readCount(reader: ByteReader): number {
  const count = reader.u32();
  if (count > limits.MAX_COLUMN_AGENTS) {
    throw reader.fail(`${count} agents in a column, at most ${limits.MAX_COLUMN_AGENTS}`);
  }
  return count;
}

/** Numbers come in order, each once. */
function checkNumber(reader: ByteReader, number: number, least: number): void {
  if (number < least || number >= limits.MAX_AGENTS) {
    throw reader.fail(`agent ${number} is out of order or too many`);
  }
}

function exitOf(reader: ByteReader, bits: number): number | null {
  if (bits !== NO_EXIT && bits >= EXITS.length) {
    throw reader.fail(`exit ${bits} is none`);
  }
  return bits === NO_EXIT ? null : bits;
}

function readPlaces(reader: ByteReader, [columnX, columnZ]: Column, count: number): AgentPlace[] {
  const places: AgentPlace[] = [];
  let least = 0;
  for (let index = 0; index < count; index += 1) {
    const [number, place] = [reader.u32(), reader.u32()];
    checkNumber(reader, number, least);
    least = number + 1;
    if (place >= 2 ** 31) {
      throw reader.fail(`an agent at ${place.toString(2)}`);
    }
    const x = columnX * limits.COLUMN_SIDE + (place & 127);
    const z = columnZ * limits.COLUMN_SIDE + ((place >> 7) & 127);
    const y = ((place >> 14) & 4_095) - limits.VOXEL_HEIGHT_LIMIT;
    places.push({ number, position: [x, y, z], exit: exitOf(reader, place >> 26) });
  }
  return places;
}

function writePlaces(writer: ByteWriter, agents: readonly AgentPlace[]): void {
  for (const { number, position: [x, y, z], exit } of agents) {
    writer.u32(number);
    writer.u32((x & 127) | ((z & 127) << 7) | ((y + limits.VOXEL_HEIGHT_LIMIT) << 14) | ((exit ?? NO_EXIT) << 26));
  }
}

export function decodeAgents(reader: ByteReader): Agents {
  const handle = reader.u32();
  const column = readColumn(reader);
  const count = readCount(reader);
  return { kind: "agents", handle, column, tick: reader.u64(), agents: readPlaces(reader, column, count) };
}

export function encodeAgents(writer: ByteWriter, { handle, column, tick, agents }: Agents): void {
  writer.u32(handle);
  column.forEach((part) => writer.i32(part));
  writer.u32(agents.length);
  writer.u64(tick);
  writePlaces(writer, agents);
}

export function decodeAgentMoves(reader: ByteReader): AgentMoves {
  const handle = reader.u32();
  const column = readColumn(reader);
  const stepCount = readCount(reader);
  const [from, tick] = [reader.u64(), reader.u64()];
  if (tick <= from) {
    throw reader.fail(`agents move from tick ${from} to tick ${tick}`);
  }
  const enteredCount = readCount(reader);
  reader.zeros(4);
  const steps: AgentStep[] = [];
  let least = 0;
  for (let index = 0; index < stepCount; index += 1) {
    const step = reader.u32();
    const number = step >>> 5;
    checkNumber(reader, number, least);
    least = number + 1;
    steps.push({ number, exit: exitOf(reader, step & NO_EXIT) });
  }
  return { kind: "agentMoves", handle, column, from, tick, steps, entered: readPlaces(reader, column, enteredCount) };
}

export function encodeAgentMoves(writer: ByteWriter, moves: AgentMoves): void {
  writer.u32(moves.handle);
  moves.column.forEach((part) => writer.i32(part));
  writer.u32(moves.steps.length);
  writer.u64(moves.from);
  writer.u64(moves.tick);
  writer.u32(moves.entered.length);
  writer.zeros(4);
  moves.steps.forEach(({ number, exit }) => writer.u32((number << 5) | (exit ?? NO_EXIT)));
  writePlaces(writer, moves.entered);
}

export function decodeCrowdEnd(reader: ByteReader): CrowdEnd {
  const handle = reader.u32();
  reader.zeros(4);
  return { kind: "crowdEnd", handle };
}

export function encodeCrowdEnd(writer: ByteWriter, { handle }: CrowdEnd): void {
  writer.u32(handle);
  writer.zeros(4);
}
