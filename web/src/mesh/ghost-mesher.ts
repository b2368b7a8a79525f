/** Ghosts on their way to the screen: meshed by a worker of their own, so that a large one makes neither frames nor blocks wait. */
import { chunkKey, type Position } from "@terrane/client";
import { GHOST_CLASSES, padGhost, type GhostSource } from "./ghost.ts";
import { MeshPool, type MeshAnswer } from "./pool.ts";

/** What it needs of a pool of workers. */
export type GhostPool = Pick<MeshPool, "hasRoom" | "mesh" | "setClasses">;

const NOTHING = new Uint32Array(0);

export class GhostMesher {
  /** Chunks that have to be meshed. */
  private readonly waiting = new Map<string, Position>();
  private readonly handed = new Map<number, Position>();
  /** The tickets of chunks that the worker has in hand and that are still wanted. */
  private readonly wanted = new Map<string, number>();
  private lastTicket = 0;
  private pool: GhostPool | null = null;

  /** `onMesh` hears of each chunk's quads, of none as well. The worker starts with the first ghost. */
  constructor(
    private readonly onMesh: (chunk: Position, words: Uint32Array<ArrayBuffer>) => void,
    private readonly startPool: (onAnswer: (answer: MeshAnswer) => void) => GhostPool = (onAnswer) => new MeshPool(1, onAnswer),
  ) {}

  /** Chunks whose quads are still to come. */
  get waitingCount(): number {
    return new Set([...this.waiting.keys(), ...this.wanted.keys()]).size;
  }

  /** A chunk has to be meshed. */
  mark(chunk: Position): void {
    this.waiting.set(chunkKey(chunk), chunk);
  }

  /** Nothing is wanted any more, what a worker has in hand neither. */
  clear(): void {
    this.waiting.clear();
    this.wanted.clear();
  }

  /** Hands over as much as the worker takes, until `isTimeUp`: putting a full chunk together takes some milliseconds. */
  pump(source: GhostSource, isTimeUp: () => boolean = () => false): void {
    for (const [key, chunk] of this.waiting) {
      if (isTimeUp()) {
        return;
      }
      this.pool ??= this.openPool();
      if (!this.pool.hasRoom) {
        return;
      }
      // One that changes again and again is seen all the same: the worker's answer first, then it is handed over anew.
      if (this.wanted.has(key)) {
        continue;
      }
      this.waiting.delete(key);
      const voxels = padGhost(chunk, source);
      if (voxels === null) {
        this.onMesh(chunk, NOTHING);
        continue;
      }
      this.lastTicket += 1;
      this.handed.set(this.lastTicket, chunk);
      this.wanted.set(key, this.lastTicket);
      this.pool.mesh(this.lastTicket, voxels, null);
    }
  }

  private openPool(): GhostPool {
    const pool = this.startPool((answer) => this.answered(answer));
    pool.setClasses(GHOST_CLASSES);
    return pool;
  }

  private answered({ ticket, mesh }: MeshAnswer): void {
    const chunk = this.handed.get(ticket)!;
    this.handed.delete(ticket);
    if (this.wanted.get(chunkKey(chunk)) === ticket) {
      this.wanted.delete(chunkKey(chunk));
      this.onMesh(chunk, mesh.filled);
    }
  }
}
