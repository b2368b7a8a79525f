/** The world as the viewer holds it: the client's chunks, what must be meshed, and what is on the screen. */
import {
  BlockFlag, Chunk, chunkKey, Client, Connection, OverlayKind, REFUSAL_REASONS, shapeHolds, type BlockEntry, type ClientEvent, type ConnectionState,
  type Position, type Shape, type Welcome,
} from "@terrane/client";
import { DrawClass, ShadeMode, type ChunkMesh, type Shade } from "../mesh/layout.ts";
import { padBytes, padChunk } from "../mesh/pad.ts";
import { MeshPool } from "../mesh/pool.ts";
import { BodyScene } from "../render/body-scene.ts";
import { ChunkScene } from "../render/chunk-scene.ts";
import type { Materials } from "../render/materials.ts";
import { drawClasses } from "./appearance.ts";
import { browserCache } from "./cache-door.ts";
import { ChunkCache, type KeptChunk } from "./chunk-cache.ts";
import { LightStore } from "./light-store.ts";
import { BodyView } from "./body-view.ts";
import { MeshQueue, neighboursOf, neighboursTouched } from "./mesh-queue.ts";

/** What the page wants to hear. */
export interface WorldListener {
  onWelcome(welcome: Welcome): void;
  onBlocks(blocks: readonly BlockEntry[]): void;
  onNotice(text: string, isError: boolean): void;
  /** The blocks of a chunk came, changed or went. */
  onChunk(position: Position): void;
}

/** The six of `neighboursOf` that share a face with the chunk. */
const FACE_NEIGHBOURS = [4, 10, 12, 13, 15, 21] as const;
const EMPTY_MESH: ChunkMesh = { filled: new Uint32Array(0), translucent: new Uint32Array(0) };
/** Padding chunks is the main thread's work; so many at a time leave it time to draw. */
const CHUNKS_PER_PUMP = 6;

/** How long kept chunks are waited for before the server is asked for everything. */
const KEPT_WITHIN_MS = 1_500;
/** How often changed chunks are written, to be kept. */
const WRITE_INTERVAL_MS = 500;

/** Ties client, mesh queue, workers and scene together. */
export class WorldView {
  readonly client = new Client("viewer");
  readonly scene: ChunkScene;
  readonly bodyScene: BodyScene;
  readonly bodies: BodyView;
  roundTripMs: number | null = null;
  private readonly connection: Connection;
  private readonly queue = new MeshQueue();
  private readonly pool: MeshPool;
  private readonly meshedWithout = new Map<string, ReadonlySet<string>>();
  /** Support by chunk, of those for which it has come; null where the world knows none. */
  private readonly support = new Map<string, Uint8Array | null>();
  private isSupportShown = false;
  private readonly light = new LightStore();
  private isLit = true;
  private classes = new Uint8Array(1);
  private flags: readonly number[] = [];
  private shape: Shape | null = null;
  /** Chunks from earlier visits. */
  private readonly cache: ChunkCache;
  private hear: (welcome: Welcome) => void = () => {};
  private readonly welcomed = new Promise<Welcome>((resolve) => {
    this.hear = resolve;
  });
  private center: Position = [0, 0, 0];

  constructor(url: string, private readonly materials: Materials, private readonly listener: WorldListener, isKept: boolean) {
    this.cache = new ChunkCache(isKept ? browserCache() : null);
    setInterval(() => void this.cache.writeSome(Date.now(), (position) => this.keptAt(position)), WRITE_INTERVAL_MS);
    this.scene = new ChunkScene(materials);
    this.bodyScene = new BodyScene(materials);
    this.bodies = new BodyView(this.client, this.bodyScene, this);
    const workerCount = Math.max(1, Math.min(2, (navigator.hardwareConcurrency || 2) - 1));
    this.pool = new MeshPool(workerCount, ({ ticket, mesh, mode }) => {
      this.meshed(ticket, mesh, mode);
      this.pump();
    });
    this.askForOverlays();
    this.connection = new Connection(url, this.client, (event) => this.handle(event), (state) => this.stateChanged(state));
  }

  /** Starts to connect. */
  open(): void {
    this.connection.open();
  }

  get connectionState(): ConnectionState {
    return this.connection.state;
  }

  /** Chunks that have been drawn at least once. */
  get meshedCount(): number {
    return this.queue.meshedCount;
  }

  /** Whether everything subscribed to has come, with its light, and is drawn. */
  get isSettled(): boolean {
    const hasLight = !this.isLit || this.light.size === this.client.chunks.size;
    return this.client.isLive && this.client.caughtUp && hasLight && this.queue.isIdle;
  }

  /** The drawing class of a voxel; null where its chunk is not held. */
  classAt(x: number, y: number, z: number): number | null {
    const block = this.client.blockAt([x, y, z]);
    return block === null ? null : this.classes[block] ?? DrawClass.nothing;
  }

  /** A block's flags at a voxel; null where its chunk is not held. */
  blockAt(x: number, y: number, z: number): BlockEntry | null {
    const block = this.client.blockAt([x, y, z]);
    return block === null ? null : this.client.registry[block] ?? null;
  }

  /** The flags of the block at a voxel; 0 where its chunk is not held. */
  flagsAt(x: number, y: number, z: number): number {
    return this.blockAt(x, y, z)?.flags ?? 0;
  }

  /** The flags of each block, by id. */
  get blockFlags(): readonly number[] {
    return this.flags;
  }

  /** Asks the server something, or calls it off, at once. */
  ask<T>(question: (client: Client) => T): T {
    const answer = question(this.client);
    this.connection.flush();
    return answer;
  }

  /** Subscribes to the chunks around a centre, once what is kept of them is at hand. */
  subscribe(shape: Shape): void {
    this.shape = shape;
    void this.takeKept(shape).then(() => {
      // Meanwhile another shape may be wanted.
      if (shape === this.shape) {
        this.client.subscribe(shape);
        this.connection.flush();
      }
    });
  }

  private async takeKept(shape: Shape): Promise<void> {
    if (!this.cache.isOn) {
      return;
    }
    await this.welcomed;
    const late = new Promise<readonly KeptChunk[]>((resolve) => setTimeout(() => resolve([]), KEPT_WITHIN_MS));
    const kept = await Promise.race([this.cache.take(shape, (position) => this.client.chunkAt(position) !== null), late]);
    kept.forEach(({ position, version, voxels }) => this.client.adopt(position, Chunk.fromSnapshot(voxels), version));
    this.connection.drain();
  }

  /** A chunk as it is to be kept; null if it is not held, or not known to be what the server has. */
  private keptAt(position: Position): KeptChunk | null {
    const held = this.client.chunks.get(chunkKey(position));
    return held?.confirmed ? { position, version: held.version, voxels: held.chunk.voxels } : null;
  }

  /** Chunks that are kept for the next visit, and those that are still to be written. */
  get kept(): { readonly chunks: number; readonly unwritten: number } {
    return { chunks: this.cache.size, unwritten: this.cache.unwrittenCount };
  }

  /** Says where one looks from and to. */
  look(eye: Position, forward: Position): void {
    this.client.look(eye, forward);
    this.connection.flush();
  }

  /** Asks for one voxel to change. Returns whether it could be asked for. */
  edit(position: Position, block: number): boolean {
    const sequence = this.client.edit([{ position, block }]);
    this.connection.flush();
    return sequence !== null;
  }

  /** Sets off a blast. Returns whether it could be asked for. */
  blast(position: Position, power: number): boolean {
    const sequence = this.client.blast(position, power);
    this.connection.flush();
    return sequence !== null;
  }

  /** Shows the support of blocks in place of their colours, or no longer. */
  showSupport(isShown: boolean): void {
    this.isSupportShown = isShown;
    this.askForOverlays();
    this.connection.flush();
    if (!isShown) {
      const shown = [...this.support.keys()];
      this.support.clear();
      shown.forEach((key) => this.queue.mark(key.split(",").map(Number) as unknown as Position, false));
    }
  }

  /** Shades faces by the light that falls on them, or lets all of them be bright. */
  showLight(isShown: boolean): void {
    this.isLit = isShown;
    this.askForOverlays();
    this.connection.flush();
    if (!isShown) {
      this.light.clear().forEach((position) => this.queue.mark(position, false));
    }
  }

  private askForOverlays(): void {
    this.client.wantOverlays((this.isSupportShown ? 1 << OverlayKind.support : 0) | (this.isLit ? 1 << OverlayKind.light : 0));
  }

  /** Chunks whose light has come. */
  get lightCount(): number {
    return this.light.litCount;
  }

  /** The light of a voxel, of the sky and of blocks; null where it has not come. */
  lightAt(x: number, y: number, z: number): { readonly sky: number; readonly block: number } | null {
    const light = this.light.at(x, y, z);
    return light === null ? null : { sky: light >> 4, block: light & 15 };
  }

  /** Chunks whose support has come. */
  get supportCount(): number {
    return [...this.support.values()].filter((values) => values !== null).length;
  }

  get drawClasses(): Uint8Array {
    return this.classes;
  }

  isSolid(x: number, y: number, z: number): boolean {
    return (this.flagsAt(x, y, z) & BlockFlag.solid) !== 0;
  }

  isStale(chunk: Position): boolean {
    return this.queue.isPending(chunk);
  }

  /** Says where the player is: the nearest chunks come first. */
  setCenter(center: Position): void {
    this.center = center;
    this.pump();
  }

  /** Hands the most urgent chunks to the workers. */
  private pump(): void {
    let handed = 0;
    while (this.pool.hasRoom && handed < CHUNKS_PER_PUMP) {
      const next = this.queue.next(this.center, this);
      if (next === null) {
        return;
      }
      handed += this.startMesh(next.ticket, next.position) ? 1 : 0;
    }
  }

  /** Whether no neighbour of a chunk is still to come. */
  isReady(position: Position): boolean {
    return this.client.caughtUp || neighboursOf(position).every((neighbour) =>
      this.client.chunkAt(neighbour) !== null || this.shape === null || !shapeHolds(this.shape, neighbour));
  }

  private stateChanged(state: ConnectionState): void {
    if (state.phase === "reconnecting" || state.phase === "refused") {
      this.listener.onNotice(state.reason, true);
    }
  }

  private handle(event: ClientEvent): void {
    switch (event.kind) {
      case "welcome":
        this.cache.open(`${event.welcome.world.join(",")} ${event.welcome.identity}`);
        this.hear(event.welcome);
        return this.listener.onWelcome(event.welcome);
      case "registry": return this.registryGrew(event.blocks);
      case "chunkReplaced": return this.chunkReplaced(event.position);
      case "chunkChanged": return this.chunkChanged(event.position, event.runs);
      case "chunkForgotten": return this.chunkForgotten(event.position);
      case "bodyBegan": return this.bodies.began(event.body);
      case "bodyMoved": return this.bodies.moved(event.body);
      case "bodyEnded": return this.bodies.ended(event.body, performance.now());
      case "overlay": return this.overlayCame(event.overlay, event.position, event.values);
      case "roundTrip":
        this.roundTripMs = event.milliseconds;
        return;
      case "acknowledged":
        for (const { reason } of event.refusals) {
          this.listener.onNotice(`The server refused it: ${REFUSAL_REASONS[reason] ?? `reason ${reason}`}.`, true);
        }
        return;
      case "editsLost":
        return this.listener.onNotice(`The session ended; ${event.count} edits may not have been applied.`, true);
      case "versionMismatch":
        return this.listener.onNotice("A change did not fit what was held; loading anew.", true);
      default:
        return;
    }
  }

  private registryGrew(blocks: readonly BlockEntry[]): void {
    this.classes = drawClasses(blocks);
    this.flags = blocks.map(({ flags }) => flags);
    this.pool.setClasses(this.classes);
    this.materials.setBlocks(blocks);
    this.listener.onBlocks(blocks);
  }

  private chunkReplaced(position: Position): void {
    this.listener.onChunk(position);
    if (this.client.chunks.get(chunkKey(position))?.confirmed) {
      this.cache.changed(position);
    }
    const key = chunkKey(position);
    const wasMeshed = this.meshedWithout.has(key);
    this.queue.mark(position, wasMeshed);
    for (const neighbour of neighboursOf(position)) {
      const missing = this.meshedWithout.get(chunkKey(neighbour));
      if (missing !== undefined && (wasMeshed || missing.has(key))) {
        this.queue.mark(neighbour, false);
      }
    }
  }

  private chunkChanged(position: Position, runs: Uint16Array): void {
    this.listener.onChunk(position);
    this.cache.changed(position);
    this.light.guess(position, runs, (block) => ((this.client.registry[block]?.flags ?? 0) & BlockFlag.opaque) !== 0);
    this.queue.mark(position, true);
    for (const neighbour of neighboursTouched(position, runs)) {
      if (this.client.chunkAt(neighbour) !== null) {
        this.queue.mark(neighbour, true);
      }
    }
  }

  private chunkForgotten(position: Position): void {
    this.listener.onChunk(position);
    this.queue.forget(position);
    this.scene.remove(position);
    this.support.delete(chunkKey(position));
    this.light.forget(position);
    this.meshedWithout.delete(chunkKey(position));
  }

  private overlayCame(overlay: number, position: Position, values: Uint8Array | null): void {
    if (this.client.chunkAt(position) === null) {
      return;
    }
    if (overlay === OverlayKind.support && this.isSupportShown) {
      this.supportCame(position, values);
    } else if (overlay === OverlayKind.light && this.isLit) {
      this.light.take(position, values).forEach((changed) => this.queue.mark(changed, false));
    }
  }

  private supportCame(position: Position, values: Uint8Array | null): void {
    const key = chunkKey(position);
    const before = this.support.get(key) ?? null;
    const isSame = values === before || (values !== null && before !== null && values.every((value, at) => value === before[at]));
    this.support.set(key, values);
    if (!isSame) {
      this.queue.mark(position, false);
    }
  }

  /** What the faces of a chunk carry: its support, if that is shown and has come, else the light around it. */
  private shadeOf(position: Position): Shade | null {
    const support = this.isSupportShown ? this.support.get(chunkKey(position)) ?? null : null;
    if (support !== null) {
      const values = padBytes(Array.from({ length: 27 }, (_, place) => (place === 13 ? support : null)), 0);
      return { mode: ShadeMode.support, values };
    }
    const light = this.isLit ? this.light.padded(position) : null;
    return light === null ? null : { mode: ShadeMode.light, values: light };
  }

  /** Returns whether a worker was needed. */
  private startMesh(ticket: number, position: Position): boolean {
    const chunk = this.client.chunkAt(position);
    if (chunk === null || this.uniformClass(chunk) === DrawClass.nothing) {
      this.meshedWithout.set(chunkKey(position), new Set());
      this.meshed(ticket, EMPTY_MESH);
      return false;
    }
    const neighbours = neighboursOf(position);
    const around = neighbours.map((neighbour) => this.client.chunkAt(neighbour));
    const missing = neighbours.filter((_, place) => around[place] === null).map(chunkKey);
    this.meshedWithout.set(chunkKey(position), new Set(missing));
    const isFilled = (held: Chunk | null) => held === null || this.uniformClass(held) === DrawClass.filled;
    if (isFilled(chunk) && FACE_NEIGHBOURS.every((place) => isFilled(around[place]!))) {
      this.meshed(ticket, EMPTY_MESH);
      return false;
    }
    this.pool.mesh(ticket, padChunk([...around.slice(0, 13), chunk, ...around.slice(13)]), this.shadeOf(position));
    return true;
  }

  /** The drawing class of a chunk of one block; null for any other chunk. */
  private uniformClass(chunk: Chunk): number | null {
    return chunk.uniform === null ? null : this.classes[chunk.uniform] ?? DrawClass.nothing;
  }

  private meshed(ticket: number, mesh: ChunkMesh, mode: number = ShadeMode.plain): void {
    const position = this.queue.finished(ticket);
    if (position !== null) {
      this.scene.replace(position, mesh, mode);
    }
  }
}
