/** The double's memory of what was changed since it started, and what taking some of it back would do (docs/undo.md). */
import {
  ChangeCause, chunkKey, chunkOfVoxel, localIndex, UndoCause,
  type GhostChunk, type Position, type UndoOther, type UndoPlan, type UndoRequest,
} from "@terrane/client";

interface Change {
  readonly before: number;
  readonly after: number;
  /** Who did it; an undo is nobody's. */
  readonly name: string;
  readonly atMs: number;
  /** The number of the undo that did it, or 0. */
  readonly undo: bigint;
}

interface VoxelHistory {
  readonly position: Position;
  readonly changes: Change[];
}

/** A voxel that is to be put back. */
export interface PutBack {
  readonly position: Position;
  readonly from: number;
  readonly to: number;
}

/** What an undo would do. */
export interface DoublePlan {
  readonly plan: UndoPlan;
  readonly ghost: readonly GhostChunk[];
  readonly voxels: readonly PutBack[];
}

/** What comes of one voxel. */
type Outcome = { readonly to: number | null; readonly cause: number; readonly other: string | null };

export class DoubleHistory {
  private readonly voxels = new Map<string, VoxelHistory>();
  private readonly names = new Set<string>();

  /** Takes down a change. */
  note(position: Position, change: Change): void {
    const key = position.join(",");
    const history = this.voxels.get(key) ?? { position, changes: [] };
    this.voxels.set(key, history);
    history.changes.push(change);
    this.names.add(change.name);
  }

  /** Whether somebody of that name has changed anything. */
  knows(name: string): boolean {
    return this.names.has(name);
  }

  plan(ask: UndoRequest, nowMs: number): DoublePlan {
    const voxels: PutBack[] = [];
    const causes = new Map<number, number>();
    const others = new Map<string, number>();
    let unchanged = 0;
    for (const { position, changes } of this.voxels.values()) {
      const outcome = isInBox(ask, position) ? outcomeOf(changes, ask, nowMs) : null;
      const from = changes.at(-1)!.after;
      if (outcome === null) {
        continue;
      }
      if (outcome.other !== null) {
        others.set(outcome.other, (others.get(outcome.other) ?? 0) + 1);
      }
      if (outcome.to === from) {
        unchanged += 1;
      } else if (outcome.to !== null) {
        voxels.push({ position, from, to: outcome.to });
        causes.set(outcome.cause, (causes.get(outcome.cause) ?? 0) + 1);
      }
    }
    const ghost = ghostOf(voxels);
    const told: UndoOther[] = [...others].map(([name, count]) => ({ name, cause: ChangeCause.edit, voxels: BigInt(count) }));
    const plan: UndoPlan = {
      kind: "undoPlan", request: ask.request, chunks: ghost.length, voxels: BigInt(voxels.length), unchanged: BigInt(unchanged),
      conflicts: told.reduce((sum, other) => sum + other.voxels, 0n), unknown: 0n, historyFrom: 0n, gaps: 0,
      causes: [...causes].map(([cause, count]) => ({ cause, voxels: BigInt(count) })), others: told.slice(0, 32),
    };
    return { plan, ghost, voxels };
  }
}

function isInBox({ box, undo }: UndoRequest, position: Position): boolean {
  return box === null || undo !== 0n || position.every((value, axis) => value >= box.first[axis]! && value < box.end[axis]!);
}

function isMeant({ name, atMs, undo }: Change, ask: UndoRequest, nowMs: number): boolean {
  if (ask.undo !== 0n) {
    return undo === ask.undo;
  }
  const cause = undo === 0n ? UndoCause.edit : UndoCause.undo;
  const isCause = ask.causes === 0 ? cause !== UndoCause.undo : (ask.causes & cause) !== 0;
  return isCause && (ask.by === "" || name === ask.by) && (ask.sinceMs === 0n || nowMs - atMs <= Number(ask.sinceMs));
}

/** Null if nothing that was done to the voxel is meant. */
function outcomeOf(changes: readonly Change[], ask: UndoRequest, nowMs: number): Outcome | null {
  // Another undo is nobody's work, and ends no run.
  const counted = changes.map((change) => ({ ...change, isMeant: isMeant(change, ask, nowMs) }))
    .filter(({ undo, isMeant: isCounted }) => undo === 0n || isCounted);
  const first = counted.find((change) => change.isMeant);
  const last = counted.at(-1);
  if (first === undefined || last === undefined) {
    return null;
  }
  const cause = last.undo === 0n ? ChangeCause.edit : ChangeCause.undo;
  if (!last.isMeant) {
    return { to: ask.overwrite ? first.before : null, cause, other: last.name };
  }
  const run = counted.slice(counted.findLastIndex((change) => !change.isMeant) + 1);
  return { to: run[0]!.before, cause, other: null };
}

function ghostOf(voxels: readonly PutBack[]): GhostChunk[] {
  const chunks = new Map<string, { chunk: Position; runs: number[][] }>();
  for (const { position, to } of voxels) {
    const chunk = chunkOfVoxel(position);
    const ghost = chunks.get(chunkKey(chunk)) ?? { chunk, runs: [] };
    chunks.set(chunkKey(chunk), ghost);
    ghost.runs.push([localIndex(...position), 1, to]);
  }
  return [...chunks.values()].map(({ chunk, runs }) => (
    { chunk, runs: Uint16Array.from(runs.sort(([a], [b]) => a! - b!).flat()) }));
}
