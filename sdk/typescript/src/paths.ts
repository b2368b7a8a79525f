/**
 * Questions about paths: what is open, what has come of each answer, and what is said again after a reconnect.
 */
import { chunkKey, chunkOfVoxel, localIndex } from "./chunk.ts";
import { ProtocolError } from "./bytes.ts";
import { EXITS } from "./field.ts";
import {
  encodeFrame, PathEnd, PathRefusal,
  type ClientFrame, type FieldChunk, type FieldRequest, type FieldState, type Mode, type PathAnswer, type PathRefused,
  type PathRequest, type Position,
} from "./frames.ts";

/** A request that ended without an answer. */
export class PathRefusedError extends Error {
  /** See PathRefusal. */
  readonly code: number;

  constructor(code: number, text: string) {
    super(text);
    this.name = "PathRefusedError";
    this.code = code;
  }
}

/** How far a way leads. */
export type End = keyof typeof PathEnd;

/** Whether there is a way. */
export interface Reachability {
  /** `goal`: there is one; `border`: none inside the box that was looked at; `tooFar`: the server gave up. */
  readonly end: End;
  /** Voxels that were looked at. */
  readonly searched: bigint;
  /** It is true after this tick. */
  readonly tick: bigint;
}

/** A way. */
export interface Way extends Reachability {
  readonly cost: bigint;
  /** Between two of them the straight line is legal; empty if there is no way. */
  readonly waypoints: readonly Position[];
}

/** How a way is asked for. */
export interface PathOptions {
  /** A mode of the world; `ground` if it is left out. */
  readonly mode?: string;
  /** How far around both ends the way may lead, in voxels; 128 if it is left out. */
  readonly around?: number;
  /** Calls the question off. */
  readonly signal?: AbortSignal;
}

/** A box of voxels, from `first` to before `end`. */
export interface Box {
  readonly first: Position;
  readonly end: Position;
}

/** What is told of a field. */
export type FieldEvent =
  | { readonly kind: "chunk"; readonly chunk: Position }
  | { readonly kind: "state"; readonly current: boolean; readonly tick: bigint }
  | { readonly kind: "ended"; readonly error: PathRefusedError };

/** What a field holds of one chunk, by local index. */
export interface FieldPart {
  /** Numbers of moves in EXITS, or of FieldMove. */
  readonly moves: Uint8Array;
  /** A cost for each voxel that has a move; 0 elsewhere. */
  readonly costs: Uint32Array;
}

/** A field as the client holds it. It follows the world until it is cancelled. */
export class Field {
  private readonly parts = new Map<string, FieldPart>();
  /** Whether what is held is what the world allows, everywhere in the box. */
  isCurrent = false;
  /** The tick since when it is stale, or after which it is current. */
  tick = 0n;

  constructor(
    readonly goals: readonly Position[],
    readonly mode: string,
    readonly box: Box,
    /** Stops following the world. */
    readonly cancel: () => void,
  ) {}

  /** What the field says of a voxel: the number of its move in EXITS or one of FieldMove; null where nothing has come yet. */
  moveAt(voxel: Position): number | null {
    const part = this.parts.get(chunkKey(chunkOfVoxel(voxel)));
    return part === undefined ? null : part.moves[localIndex(...voxel)]!;
  }

  /** What the way to the nearest goal costs from a voxel; null where it has no move. */
  costAt(voxel: Position): number | null {
    const part = this.parts.get(chunkKey(chunkOfVoxel(voxel)));
    const index = localIndex(...voxel);
    return part !== undefined && part.moves[index]! < EXITS.length ? part.costs[index]! : null;
  }

  /** What the field says of a chunk; null where nothing has come yet. It is another object once something else comes. */
  partAt(chunk: Position): FieldPart | null {
    return this.parts.get(chunkKey(chunk)) ?? null;
  }

  /** The chunks of which something has come. */
  get chunks(): readonly Position[] {
    return [...this.parts.keys()].map((key) => key.split(",").map(Number) as unknown as Position);
  }

  /** The voxel that a body at another one goes to next; null where it stays. */
  next([x, y, z]: Position): Position | null {
    const exit = EXITS[this.moveAt([x, y, z]) ?? EXITS.length];
    return exit === undefined ? null : [x + exit[0], y + exit[1], z + exit[2]];
  }

  /** Takes in what came of a chunk. */
  take({ chunk, moves, costs }: FieldChunk): void {
    const spread = new Uint32Array(moves.length);
    let next = 0;
    moves.forEach((move, index) => {
      if (move < EXITS.length) {
        spread[index] = costs[next]!;
        next += 1;
      }
    });
    this.parts.set(chunkKey(chunk), { moves, costs: spread });
  }
}

interface OpenWay {
  readonly ask: PathRequest;
  parts: PathAnswer[];
  readonly answered: (way: Way) => void;
  readonly refused: (error: Error) => void;
}

interface OpenField {
  readonly ask: FieldRequest;
  readonly field: Field;
  readonly listener: (event: FieldEvent) => void;
}

const ENDS: readonly End[] = ["goal", "border", "unreachable", "tooFar"];

/** All open requests of a client. `send` says a frame if there is somebody to hear it; what is open is said again later. */
export class Paths {
  private readonly ways = new Map<number, OpenWay>();
  private readonly fields = new Map<number, OpenField>();
  private lastRequest = 0;
  /** The movement modes of the world. */
  modes: readonly Mode[] = [];

  constructor(private readonly send: (frame: ClientFrame) => void) {}

  /** Asks for a way, or only whether there is one. */
  ask(wanted: number, from: Position, to: Position, options: PathOptions): Promise<Way> {
    this.lastRequest += 1;
    const { mode = "ground", around = 128, signal } = options;
    const ask: PathRequest = { kind: "pathRequest", request: this.lastRequest, wanted, around, mode, from, to };
    return new Promise((answered, refused) => {
      const cancelled = () => new PathRefusedError(PathRefusal.cancelled, "the question was called off");
      if (signal?.aborted === true) {
        refused(cancelled());
        return;
      }
      encodeFrame(ask);
      this.ways.set(ask.request, { ask, parts: [], answered, refused });
      this.send(ask);
      signal?.addEventListener("abort", () => {
        if (this.ways.delete(ask.request)) {
          this.send({ kind: "cancel", request: ask.request });
          refused(cancelled());
        }
      }, { once: true });
    });
  }

  /** Opens a field. */
  open(goals: readonly Position[], mode: string, box: Box, listener: (event: FieldEvent) => void): Field {
    this.lastRequest += 1;
    const request = this.lastRequest;
    const ask: FieldRequest = { kind: "fieldRequest", request, mode, goals, first: box.first, end: box.end };
    encodeFrame(ask);
    const field = new Field(goals, mode, box, () => {
      if (this.fields.delete(request)) {
        this.send({ kind: "cancel", request });
      }
    });
    this.fields.set(request, { ask, field, listener });
    this.send(ask);
    return field;
  }

  /** The connection is gone: fields are not followed any more, and nothing is left of half an answer. */
  closed(): void {
    this.ways.forEach((way) => {
      way.parts = [];
    });
    for (const { field, listener } of this.fields.values()) {
      if (field.isCurrent) {
        field.isCurrent = false;
        listener({ kind: "state", current: false, tick: field.tick });
      }
    }
  }

  /** A new connection stands: everything that is open is asked again. */
  welcomed(): void {
    this.ways.forEach(({ ask }) => this.send(ask));
    this.fields.forEach(({ ask }) => this.send(ask));
  }

  /** A part of a way came. What was called off meanwhile is passed over. */
  handleAnswer(answer: PathAnswer): void {
    const open = this.ways.get(answer.request);
    if (open === undefined) {
      return;
    }
    if (answer.part !== open.parts.length) {
      throw new ProtocolError(`part ${answer.part} of a way, ${open.parts.length} is the next one`, "pathAnswer", 4);
    }
    open.parts.push(answer);
    if (answer.last) {
      this.ways.delete(answer.request);
      const { cost, searched, tick } = answer;
      const waypoints = open.parts.flatMap((part) => part.waypoints);
      open.answered({ end: ENDS[answer.end]!, cost, searched, tick, waypoints });
    }
  }

  handleChunk(chunk: FieldChunk): void {
    const open = this.fields.get(chunk.request);
    if (open !== undefined) {
      open.field.take(chunk);
      open.listener({ kind: "chunk", chunk: chunk.chunk });
    }
  }

  handleState({ request, current, tick }: FieldState): void {
    const open = this.fields.get(request);
    if (open !== undefined) {
      open.field.isCurrent = current;
      open.field.tick = tick;
      open.listener({ kind: "state", current, tick });
    }
  }

  handleRefused({ request, code, text }: PathRefused): void {
    const error = new PathRefusedError(code, text);
    const [way, open] = [this.ways.get(request), this.fields.get(request)];
    this.ways.delete(request);
    this.fields.delete(request);
    way?.refused(error);
    if (open !== undefined) {
      open.field.isCurrent = false;
      open.listener({ kind: "ended", error });
    }
  }
}
