/**
 * Taking changes back: what is asked, what would come of it, and how far it is.
 */
import { chunkKey } from "./chunk.ts";
import { ProtocolError } from "./bytes.ts";
import {
  encodeFrame, UndoCause, UndoPhase, UndoRefusal, UndoStep,
  type ClientFrame, type GhostChunk, type Position, type UndoGhost, type UndoPlan, type UndoProgress, type UndoRefused, type UndoRequest,
} from "./frames.ts";
import { MAX_GHOST_VOXELS } from "./limits.ts";
import type { Box } from "./paths.ts";
import { voxelsOf } from "./undo-frames.ts";

/** An undo that is not done, or no further. */
export class UndoRefusedError extends Error {
  /** See UndoRefusal. */
  readonly code: number;

  constructor(code: number, text: string) {
    super(text);
    this.name = "UndoRefusedError";
    this.code = code;
  }
}

/** What is meant by an undo. All that is left out counts everything but what was taken back itself. */
export interface UndoOptions {
  /** Whose changes: a name, or `actor:N`. */
  readonly by?: string;
  readonly causes?: readonly (keyof typeof UndoCause)[];
  readonly box?: Box | null;
  /** How long ago it may have been, in milliseconds. */
  readonly sinceMs?: number;
  /** Where somebody else has built since: `keep` leaves theirs (so it is if this is left out), `overwrite` does not. */
  readonly rule?: "keep" | "overwrite";
  /** The number of an undo that is to be taken back; nothing else counts then. */
  readonly undo?: bigint;
}

/**
 * How far an undo is. `asking`: nothing has come yet; `waiting`: the server waits until nothing falls before it plans; `planned`: what it
 * would do is known, and nothing is changed before `start`; `going`; `done`; `ended`: by `end`, or by another one that took its place;
 * `refused`.
 */
export type UndoState = "asking" | "waiting" | "planned" | "going" | "done" | "ended" | "refused";

/** What is told of an undo. */
export type UndoEvent =
  | { readonly kind: "planned"; readonly plan: UndoPlan }
  | { readonly kind: "ghost"; readonly chunks: readonly Position[]; readonly isLast: boolean }
  | { readonly kind: "progress"; readonly progress: UndoProgress }
  | { readonly kind: "ended" }
  | { readonly kind: "refused"; readonly error: UndoRefusedError };

const PHASES: readonly UndoState[] = ["waiting", "going", "done", "ended"];

/** An undo as the client knows it. */
export class Undo {
  private readonly ghosts = new Map<string, GhostChunk>();
  private ghostVoxels = 0;
  state: UndoState = "asking";
  /** What it would do; null before that has come. */
  plan: UndoPlan | null = null;
  /** Whether all has come that is told of the voxels that would be there. */
  isGhostWhole = false;
  /** Whether there are more such voxels than are told. */
  isGhostCut = false;
  /** What was told last of how far it is; null before it has been told. */
  progress: UndoProgress | null = null;
  /** Why it is refused. */
  error: UndoRefusedError | null = null;

  constructor(
    readonly options: UndoOptions,
    /** Says to the server what shall be done with it. */
    private readonly act: (step: number) => void,
  ) {}

  /** Whether nothing can have been changed by it yet. */
  get isOpen(): boolean {
    return this.state === "asking" || this.state === "waiting" || this.state === "planned";
  }

  /** Its number, by which it can be taken back; null before it has begun. */
  get number(): bigint | null {
    return this.progress === null || this.progress.undo === 0n ? null : this.progress.undo;
  }

  /** What would be there, by chunk (`chunkKey`). */
  get ghost(): ReadonlyMap<string, GhostChunk> {
    return this.ghosts;
  }

  /** Does it. Returns whether it is one that can be begun. */
  start(): boolean {
    if (this.state !== "planned") {
      return false;
    }
    this.state = "going";
    this.act(UndoStep.start);
    return true;
  }

  /**
   * Ends it. Before `start` it is forgotten; while it goes on it ends behind a part, and what has been put back stays: it is `ended`
   * when the server says so.
   */
  end(): void {
    if (this.isOpen) {
      this.state = "ended";
      this.act(UndoStep.end);
    } else if (this.state === "going") {
      this.act(UndoStep.end);
    }
  }

  /** Takes in what would be there. */
  takeGhost({ last, more, chunks }: UndoGhost): void {
    this.ghostVoxels += chunks.reduce((sum, { runs }) => sum + voxelsOf(runs), 0);
    if (this.isGhostWhole || this.ghostVoxels > MAX_GHOST_VOXELS) {
      throw new ProtocolError("more voxels that would be there than may be told", "undoGhost", 0);
    }
    for (const { chunk, runs } of chunks) {
      const before = this.ghosts.get(chunkKey(chunk))?.runs ?? new Uint16Array(0);
      const all = new Uint16Array(before.length + runs.length);
      all.set(before);
      all.set(runs, before.length);
      this.ghosts.set(chunkKey(chunk), { chunk, runs: all });
    }
    [this.isGhostWhole, this.isGhostCut] = [last, this.isGhostCut || more];
  }
}

interface OpenUndo {
  readonly ask: UndoRequest;
  readonly undo: Undo;
  readonly listener: (event: UndoEvent) => void;
  isAsked: boolean;
}

function requestOf(request: number, { by = "", causes = [], box = null, sinceMs = 0, rule = "keep", undo = 0n }: UndoOptions): UndoRequest {
  const bits = causes.reduce((mask, cause) => mask | UndoCause[cause], 0);
  const since = BigInt(Math.max(0, Math.round(sinceMs)));
  return { kind: "undoRequest", request, causes: bits, overwrite: rule === "overwrite", box, by, sinceMs: since, undo };
}

/** All open undos of a client: one that has not begun at most. `send` says a frame and returns whether somebody heard it. */
export class Undos {
  private readonly opened = new Map<number, OpenUndo>();
  private lastRequest = 0;

  constructor(private readonly send: (frame: ClientFrame) => boolean) {}

  /** Asks what an undo would do. One that has not begun makes room for it. Throws ProtocolError for what can't be asked. */
  open(options: UndoOptions, listener: (event: UndoEvent) => void): Undo {
    this.lastRequest += 1;
    const ask = requestOf(this.lastRequest, options);
    encodeFrame(ask);
    this.makeRoom();
    const undo = new Undo(options, (act) => this.act(ask.request, act));
    this.opened.set(ask.request, { ask, undo, listener, isAsked: this.send(ask) });
    return undo;
  }

  private makeRoom(): void {
    for (const [request, { undo, listener }] of this.opened) {
      if (undo.isOpen) {
        undo.state = "ended";
        this.opened.delete(request);
        listener({ kind: "ended" });
      }
    }
  }

  private act(request: number, act: number): void {
    const open = this.opened.get(request);
    if (open === undefined) {
      return;
    }
    if (open.isAsked) {
      this.send({ kind: "undoAct", request, act });
    }
    if (open.undo.state === "ended") {
      this.opened.delete(request);
      open.listener({ kind: "ended" });
    }
  }

  /** The connection is gone, and with it what was asked on it. */
  closed(): void {
    for (const [request, open] of this.opened) {
      if (open.isAsked) {
        this.refuse(request, new UndoRefusedError(UndoRefusal.noPlan, lostText(open.undo)));
      }
    }
  }

  /** A new connection stands: what nobody has heard yet is asked. */
  welcomed(): void {
    this.opened.forEach((open) => {
      open.isAsked ||= this.send(open.ask);
    });
  }

  handlePlan(plan: UndoPlan): void {
    const open = this.opened.get(plan.request);
    if (open?.undo.state === "asking" || open?.undo.state === "waiting") {
      open.undo.plan = plan;
      open.undo.state = "planned";
      open.listener({ kind: "planned", plan });
    }
  }

  /** Voxels that would be there came. What was called off meanwhile is passed over. */
  handleGhost(ghost: UndoGhost): void {
    const open = this.opened.get(ghost.request);
    if (open !== undefined) {
      if (open.undo.plan === null) {
        throw new ProtocolError("what would be there came before the plan", "undoGhost", 0);
      }
      open.undo.takeGhost(ghost);
      open.listener({ kind: "ghost", chunks: ghost.chunks.map(({ chunk }) => chunk), isLast: ghost.last });
    }
  }

  handleProgress(progress: UndoProgress): void {
    const open = this.opened.get(progress.request);
    if (open === undefined) {
      return;
    }
    const { undo, listener } = open;
    const isOver = progress.state === UndoPhase.done || progress.state === UndoPhase.ended;
    undo.progress = progress;
    undo.state = PHASES[progress.state]!;
    if (isOver) {
      this.opened.delete(progress.request);
    }
    listener({ kind: "progress", progress });
    if (isOver) {
      listener({ kind: "ended" });
    }
  }

  handleRefused({ request, code, text }: UndoRefused): void {
    this.refuse(request, new UndoRefusedError(code, text));
  }

  private refuse(request: number, error: UndoRefusedError): void {
    const open = this.opened.get(request);
    this.opened.delete(request);
    if (open !== undefined) {
      open.undo.state = "refused";
      open.undo.error = error;
      open.listener({ kind: "refused", error });
    }
  }
}

function lostText({ isOpen, number }: Undo): string {
  if (isOpen) {
    return "the connection was lost; ask again";
  }
  const name = number === null ? "it" : `undo ${number}`;
  return `the connection was lost while ${name} went on; ask again to see what is left of it`;
}
