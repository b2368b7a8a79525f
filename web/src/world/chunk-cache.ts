/**
 * Chunks kept in the browser from one visit to the next, so that the server sends only what has changed since.
 *
 * What is kept is a copy: losing it costs nothing but bytes, so every failure of the storage only turns the cache off. Chunks are
 * written some time after they changed; one that was not written in time is kept at an older version, and the server sends the
 * difference.
 */
import { chunkKey, sameVersion, shapeHolds, type Position, type Shape, type Version, type Voxels } from "@terrane/client";

/** A chunk as it is kept. */
export interface KeptChunk {
  readonly position: Position;
  readonly version: Version;
  readonly voxels: Voxels;
}

/** A chunk that is kept, without its voxels. */
export interface KeptEntry {
  readonly position: Position;
  /** When it was written: what was longest ago makes room first. */
  readonly writtenAt: number;
}

/** Where chunks are kept; each call may fail. */
export interface CacheDoor {
  /** What is kept of a world; chunks of other worlds may be dropped to make room. */
  list(world: string): Promise<readonly KeptEntry[]>;
  read(world: string, positions: readonly Position[]): Promise<readonly KeptChunk[]>;
  write(world: string, chunks: readonly KeptChunk[], writtenAt: number): Promise<void>;
  remove(world: string, positions: readonly Position[]): Promise<void>;
}

/** Chunks kept of one world: 128 MiB at most of what terrain takes. */
export const MAX_KEPT_CHUNKS = 8_192;
/** Chunks written at a time, so that a page that draws is not held up. */
const WRITTEN_AT_A_TIME = 64;

/** The chunks of one world at a time. */
export class ChunkCache {
  private world: string | null = null;
  private known = new Map<string, KeptEntry>();
  private readonly unwritten = new Map<string, Position>();
  private ready: Promise<void> = Promise.resolve();
  private isWriting = false;

  /** Without a door nothing is kept. */
  constructor(private door: CacheDoor | null, private readonly most: number = MAX_KEPT_CHUNKS) {}

  /** Whether chunks are kept. */
  get isOn(): boolean {
    return this.door !== null;
  }

  /** Chunks that are known to be kept. */
  get size(): number {
    return this.known.size;
  }

  /** Chunks that have changed and are not written yet. */
  get unwrittenCount(): number {
    return this.unwritten.size;
  }

  /** From now on it is about this world: its id, and what its chunks are made from. */
  open(world: string): void {
    if (world === this.world) {
      return;
    }
    this.world = world;
    this.known = new Map();
    this.unwritten.clear();
    this.ready = this.attempt(async (door) => {
      const entries = await door.list(world);
      if (world === this.world) {
        entries.forEach((entry) => this.known.set(chunkKey(entry.position), entry));
      }
    });
  }

  /** The chunks kept in a shape, but for those that `isHeld` says are at hand. */
  async take(shape: Shape, isHeld: (position: Position) => boolean): Promise<readonly KeptChunk[]> {
    await this.ready;
    const world = this.world;
    const wanted = [...this.known.values()].map(({ position }) => position)
      .filter((position) => shapeHolds(shape, position) && !isHeld(position));
    let chunks: readonly KeptChunk[] = [];
    if (world !== null && wanted.length > 0) {
      await this.attempt(async (door) => {
        chunks = await door.read(world, wanted);
      });
    }
    return world === this.world ? chunks : [];
  }

  /** A chunk has come or changed: it is to be written. */
  changed(position: Position): void {
    if (this.door !== null && this.world !== null) {
      this.unwritten.set(chunkKey(position), position);
    }
  }

  /** Writes some of what has changed; `chunkAt` gives a chunk as it is now, or null if it is not held any more. */
  async writeSome(nowMs: number, chunkAt: (position: Position) => KeptChunk | null): Promise<void> {
    const world = this.world;
    if (this.isWriting || world === null || this.unwritten.size === 0) {
      return;
    }
    const taken = [...this.unwritten].slice(0, WRITTEN_AT_A_TIME);
    taken.forEach(([key]) => this.unwritten.delete(key));
    const chunks = taken.map(([, position]) => chunkAt(position)).filter((chunk) => chunk !== null);
    this.isWriting = true;
    await this.attempt(async (door) => {
      await door.write(world, chunks, nowMs);
      if (world === this.world) {
        chunks.forEach(({ position }) => this.known.set(chunkKey(position), { position, writtenAt: nowMs }));
        await this.makeRoom(door, world);
      }
    });
    this.isWriting = false;
  }

  /** Drops what was written longest ago. */
  private async makeRoom(door: CacheDoor, world: string): Promise<void> {
    if (this.known.size <= this.most) {
      return;
    }
    // Some more than there must be, so that it is not done again with the next one.
    const count = this.known.size - this.most + Math.ceil(this.most / 16);
    const oldest = [...this.known.values()].sort((a, b) => a.writtenAt - b.writtenAt).slice(0, count);
    oldest.forEach(({ position }) => this.known.delete(chunkKey(position)));
    await door.remove(world, oldest.map(({ position }) => position));
  }

  private async attempt(act: (door: CacheDoor) => Promise<void>): Promise<void> {
    if (this.door === null) {
      return;
    }
    try {
      await act(this.door);
    } catch {
      this.door = null;
      this.known.clear();
      this.unwritten.clear();
    }
  }
}

/** Whether a chunk that was kept is one: what a browser gives back may be of another version of this page. */
export function isWhole({ version, voxels }: KeptChunk): boolean {
  const bytes: Readonly<Record<number, number>> = { 1: 0, 2: 16_384, 3: 32_768, 4: 65_536 };
  const most: Readonly<Record<number, number>> = { 1: 1, 2: 16, 3: 256, 4: 0 };
  return voxels.table instanceof Uint16Array && voxels.voxels instanceof Uint8Array
    && voxels.voxels.length === bytes[voxels.form] && voxels.table.length <= most[voxels.form]!
    && (voxels.form === 4 || voxels.table.length >= 1) && !sameVersion(version, { epoch: 0, count: 0 });
}
