/**
 * Which chunk is meshed next: edited ones first, then the nearest whose neighbours have arrived.
 *
 * It knows no worker; `next` hands out a chunk, `finished` takes the answer's ticket back.
 */
import { chunkKey, type Position } from "@terrane/client";

interface Entry {
  readonly position: Position;
  isEdited: boolean;
}

/** What the queue must know about the world. */
export interface QueueView {
  /** Whether all neighbours that will come have come. */
  isReady(position: Position): boolean;
}

/** All 26 neighbours of a chunk. */
export function neighboursOf([x, y, z]: Position): Position[] {
  const neighbours: Position[] = [];
  for (let place = 0; place < 27; place += 1) {
    if (place !== 13) {
      neighbours.push([x + (place % 3) - 1, y + Math.floor(place / 9) - 1, z + (Math.floor(place / 3) % 3) - 1]);
    }
  }
  return neighbours;
}

/** The neighbours whose padding holds one of the changed voxels. */
export function neighboursTouched([x, y, z]: Position, runs: Uint16Array): Position[] {
  const touched = new Set<number>();
  for (let at = 0; at < runs.length; at += 3) {
    for (let index = runs[at]!; index < runs[at]! + runs[at + 1]!; index += 1) {
      const [sx, sy, sz] = [side(index & 31), side(index >> 10), side((index >> 5) & 31)];
      if (sx !== 0 || sy !== 0 || sz !== 0) {
        touched.add(sx + 1 + 3 * (sz + 1) + 9 * (sy + 1));
      }
    }
  }
  const neighbours: Position[] = [];
  for (const corner of touched) {
    const [dx, dz, dy] = [(corner % 3) - 1, (Math.floor(corner / 3) % 3) - 1, Math.floor(corner / 9) - 1];
    for (let part = 1; part < 8; part += 1) {
      neighbours.push([x + (part & 1 ? dx : 0), y + (part & 2 ? dy : 0), z + (part & 4 ? dz : 0)]);
    }
  }
  const distinct = new Map(neighbours.map((position) => [chunkKey(position), position]));
  distinct.delete(chunkKey([x, y, z]));
  return [...distinct.values()];
}

function side(local: number): number {
  return local === 0 ? -1 : local === 31 ? 1 : 0;
}

/** Chunks that wait for their mesh. */
export class MeshQueue {
  private readonly dirty = new Map<string, Entry>();
  private readonly inFlight = new Map<number, Position>();
  private readonly appliedTicket = new Map<string, number>();
  private lastTicket = 0;

  /** Whether nothing waits and nothing is on its way. */
  get isIdle(): boolean {
    return this.dirty.size === 0 && this.inFlight.size === 0;
  }

  /** Chunks whose mesh has been drawn at least once. */
  get meshedCount(): number {
    return this.appliedTicket.size;
  }

  /** The chunk must be meshed (again). */
  mark(position: Position, isEdited: boolean): void {
    const key = chunkKey(position);
    const entry = this.dirty.get(key);
    if (entry === undefined) {
      this.dirty.set(key, { position, isEdited });
    } else {
      entry.isEdited ||= isEdited;
    }
  }

  /** Whether what is drawn of a chunk is older than its last change. */
  isPending(position: Position): boolean {
    const key = chunkKey(position);
    return this.dirty.has(key) || [...this.inFlight.values()].some((flying) => chunkKey(flying) === key);
  }

  /** The chunk is gone; an answer on its way is dropped. */
  forget(position: Position): void {
    const key = chunkKey(position);
    this.dirty.delete(key);
    this.appliedTicket.delete(key);
    for (const [ticket, flying] of this.inFlight) {
      if (chunkKey(flying) === key) {
        this.inFlight.delete(ticket);
      }
    }
  }

  /** The most urgent chunk that is ready, with its ticket; null if there is none. */
  next(center: Position, view: QueueView): { ticket: number; position: Position } | null {
    let best: { key: string; entry: Entry; cost: number } | null = null;
    for (const [key, entry] of this.dirty) {
      const cost = distanceSquared(entry.position, center) - (entry.isEdited ? 1e9 : 0);
      if ((best === null || cost < best.cost) && (entry.isEdited || view.isReady(entry.position))) {
        best = { key, entry, cost };
      }
    }
    if (best === null) {
      return null;
    }
    this.dirty.delete(best.key);
    this.lastTicket += 1;
    this.inFlight.set(this.lastTicket, best.entry.position);
    return { ticket: this.lastTicket, position: best.entry.position };
  }

  /** The chunk that the answer is for; null if it is gone or a newer answer has been drawn. */
  finished(ticket: number): Position | null {
    const position = this.inFlight.get(ticket);
    if (position === undefined) {
      return null;
    }
    this.inFlight.delete(ticket);
    const key = chunkKey(position);
    if ((this.appliedTicket.get(key) ?? 0) > ticket) {
      return null;
    }
    this.appliedTicket.set(key, ticket);
    return position;
  }
}

function distanceSquared(a: Position, b: Position): number {
  return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2;
}
