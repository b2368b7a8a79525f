/**
 * The client as a pure state machine: bytes in, events and bytes out.
 *
 * It owns no socket and no clock. A shell calls `opened`, `receive` and `closed`, then drains
 * `pollOutput` and `pollEvent`.
 */
import { Chunk, chunkKey, chunkOfVoxel, localIndex } from "./chunk.ts";
import { ProtocolError } from "./bytes.ts";
import {
  encodeFrame, isVoxelPosition, RefusedCode, sameVersion, shapeHolds, Wanted,
  type Acknowledge, type AgentMoves, type Agents, type Blast, type BlockEntry, type BodyMoves, type BodyPart, type BodyRun, type ChunkChange, type ClientFrame, type CrowdRequest, type Dismiss, type Edit,
  type EditVoxel, type Forget, type Frame, type Mode, type Position, type Refusal, type Refused, type Registry, type Shape, type Snapshot, type Version, type Welcome,
} from "./frames.ts";
import { HeldCrowd, type CrowdOptions } from "./crowds.ts";
import { MAGIC, MAX_AGENTS, MAX_EDIT_VOXELS_PER_FRAME, MAX_GOALS, MAX_HOLDS_CHUNKS, PROTOCOL_VERSION } from "./limits.ts";
import { AT_REST, type Fall } from "./fall.ts";
import { Paths, type Box, type Field, type FieldEvent, type PathOptions, type Reachability, type Way } from "./paths.ts";
import { FrameReader } from "./reader.ts";
import { Undos, type Undo, type UndoEvent, type UndoOptions } from "./undos.ts";

/** A chunk as the client holds it. */
export interface HeldChunk {
  readonly position: Position;
  readonly chunk: Chunk;
  version: Version;
  /** False after a reconnect, until the server has sent it or left it as it was. */
  confirmed: boolean;
}

/** A body that falls, as the server last told of it. */
export interface HeldBody {
  readonly handle: number;
  readonly corner: Position;
  readonly voxels: number;
  readonly runs: readonly BodyRun[];
  /** Where it was after the tick beside it. */
  fall: Fall;
  tick: bigint;
}

/** What a client tells its owner. */
export type ClientEvent =
  | { readonly kind: "welcome"; readonly welcome: Welcome }
  | { readonly kind: "registry"; readonly blocks: readonly BlockEntry[] }
  | { readonly kind: "chunkReplaced"; readonly position: Position }
  | { readonly kind: "chunkChanged"; readonly position: Position; readonly runs: Uint16Array }
  | { readonly kind: "chunkForgotten"; readonly position: Position }
  | { readonly kind: "caughtUp" }
  | { readonly kind: "bodyBegan"; readonly body: HeldBody }
  | { readonly kind: "bodyMoved"; readonly body: HeldBody }
  | { readonly kind: "bodyEnded"; readonly body: HeldBody }
  | { readonly kind: "crowdBegan"; readonly crowd: HeldCrowd }
  | { readonly kind: "crowdMoved"; readonly crowd: HeldCrowd }
  | { readonly kind: "crowdEnded"; readonly crowd: HeldCrowd }
  | { readonly kind: "overlay"; readonly position: Position; readonly overlay: number; readonly values: Uint8Array | null }
  | { readonly kind: "acknowledged"; readonly sequence: bigint; readonly refusals: readonly Refusal[] }
  | { readonly kind: "editsLost"; readonly count: number }
  | { readonly kind: "versionMismatch"; readonly position: Position }
  | { readonly kind: "roundTrip"; readonly milliseconds: number }
  | { readonly kind: "refused"; readonly code: number; readonly text: string };

const NEW_SESSION = new Uint8Array(16);
const NOTHING_HELD: Version = { epoch: 0, count: 0 };

/** After these the session is of no use: resuming it would break the same rule again. */
const CODES_THAT_END_THE_SESSION: readonly number[] = [
  RefusedCode.frameTooLong, RefusedCode.payloadDoesNotFit, RefusedCode.helloMissingOrRepeated,
  RefusedCode.valueOutOfBounds, RefusedCode.sequenceGap, RefusedCode.sessionInUse,
];

/** What a client asks of the world, in order. */
type Input = Edit | Blast | CrowdRequest | Dismiss;

/** What is usual for a crowd that says nothing of its speed: a voxel of cost 1 in four ticks. */
const USUAL_SPEED = 64;

/** One client of one world, across reconnects. */
export class Client {
  private reader = new FrameReader("server");
  private readonly output: Uint8Array[] = [];
  private readonly events: ClientEvent[] = [];
  private readonly held = new Map<string, HeldChunk>();
  private readonly unacknowledged = new Map<bigint, Input>();
  private readonly falling = new Map<number, HeldBody>();
  private readonly seen = new Map<number, HeldCrowd>();
  /** The parts that have come of a body of several. */
  private arriving: BodyPart[] = [];
  private readonly paths = new Paths((frame) => void this.say(frame));
  private readonly undos = new Undos((frame) => this.say(frame));
  private overlays = 0;
  private session: Uint8Array = NEW_SESSION;
  private nextSequence = 1n;
  private subscription = 0;
  private shape: Shape | null = null;
  private blocks: BlockEntry[] = [];
  private latestTick = 0n;
  private tickSeenAtMs = 0;
  private tickMicroseconds = 50_000;
  /** The world that chunks are held of, and what it is made from. */
  private heldOf = "";
  private readonly counted = { bytes: 0, snapshots: 0, changes: 0, same: 0 };
  private isOpen = false;
  private welcomed = false;
  private isCaughtUp = false;

  constructor(private readonly name: string) {}

  // What the owner may look at

  /** Whether the server has welcomed this connection. */
  get isLive(): boolean {
    return this.welcomed;
  }

  /** Whether each chunk of the current subscription has been sent once. */
  get caughtUp(): boolean {
    return this.isCaughtUp;
  }

  /** Edits, blasts and what was asked of crowds that the server has not decided yet. */
  get unacknowledgedCount(): number {
    return this.unacknowledged.size;
  }

  /** All blocks known so far; the index is the id. */
  get registry(): readonly BlockEntry[] {
    return this.blocks;
  }

  /** The movement modes of the world; empty before the server has told them. */
  get modes(): readonly Mode[] {
    return this.paths.modes;
  }

  /** All chunks held. */
  get chunks(): ReadonlyMap<string, HeldChunk> {
    return this.held;
  }

  /** All bodies that fall, by handle. */
  get bodies(): ReadonlyMap<number, HeldBody> {
    return this.falling;
  }

  /** All crowds that it was told of, by handle. */
  get crowds(): ReadonlyMap<number, HeldCrowd> {
    return this.seen;
  }

  /** What has come since the client was made: bytes, chunks as a whole, changes of chunks, and chunks that were the same. */
  get received(): { readonly bytes: number; readonly snapshots: number; readonly changes: number; readonly same: number } {
    return { ...this.counted };
  }

  /** The tick at `now`, carried on from the last one that the server named. */
  tickAt(nowMs: number): bigint {
    if (!this.welcomed) {
      return this.latestTick;
    }
    const passed = Math.max(0, nowMs - this.tickSeenAtMs) * 1_000;
    return this.latestTick + BigInt(Math.floor(passed / this.tickMicroseconds));
  }

  /** Ticks from `tick` to `now`, with the share of the next one that has passed. */
  ticksSince(tick: bigint, nowMs: number): number {
    const passed = this.welcomed ? Math.max(0, nowMs - this.tickSeenAtMs) * 1_000 : 0;
    return Number(this.latestTick - tick) + passed / this.tickMicroseconds;
  }

  /** The chunk at a chunk position, if held. */
  chunkAt(position: Position): Chunk | null {
    return this.held.get(chunkKey(position))?.chunk ?? null;
  }

  /** The block id of a voxel; null where its chunk is not held. */
  blockAt([x, y, z]: Position): number | null {
    const chunk = this.chunkAt(chunkOfVoxel([x, y, z]));
    return chunk === null ? null : chunk.get(localIndex(x, y, z));
  }

  // What the shell calls

  /** The connection stands: the magic and Hello go out. */
  opened(): void {
    this.reader = new FrameReader("server");
    this.isOpen = true;
    this.output.push(MAGIC, encodeFrame({
      kind: "hello",
      lowestVersion: PROTOCOL_VERSION,
      highestVersion: PROTOCOL_VERSION,
      session: this.session,
      name: this.name,
    }));
  }

  /** The connection is gone. Chunks and unacknowledged edits stay. */
  closed(): void {
    this.isOpen = false;
    this.welcomed = false;
    this.isCaughtUp = false;
    this.output.length = 0;
    this.arriving = [];
    this.falling.forEach((body) => this.events.push({ kind: "bodyEnded", body }));
    this.falling.clear();
    this.seen.forEach((crowd) => this.events.push({ kind: "crowdEnded", crowd }));
    this.seen.clear();
    this.paths.closed();
    this.undos.closed();
  }

  /** Takes the next bytes of the stream. Throws ProtocolError; the shell then closes the connection. */
  receive(nowMs: number, bytes: Uint8Array): void {
    this.counted.bytes += bytes.length;
    for (const frame of this.reader.push(bytes)) {
      this.handle(nowMs, frame);
    }
  }

  /** The next bytes to send, or null. */
  pollOutput(): Uint8Array | null {
    return this.output.shift() ?? null;
  }

  /** The next event, or null. */
  pollEvent(): ClientEvent | null {
    return this.events.shift() ?? null;
  }

  /** A damaged stream may have damaged what is held: the next connection starts a new session. */
  abandonSession(): void {
    this.session = NEW_SESSION;
  }

  // What the owner asks for

  /** Replaces the subscription. Before Welcome it is kept and sent then. */
  subscribe(shape: Shape): void {
    this.shape = shape;
    if (this.welcomed) {
      this.sendSubscribe(shape);
    }
  }

  /** Says where one looks from, in voxels, and where to: chunks there come first. */
  look(eye: Position, forward: Position): void {
    if (this.welcomed && isVoxelPosition(eye)) {
      this.output.push(encodeFrame({ kind: "look", eye, forward }));
    }
  }

  /**
   * Takes over a chunk that was kept from an earlier visit, of a world of the same id and identity. With the next subscription the
   * server is told of it, and sends only what has changed since. What is held already stays.
   */
  adopt(position: Position, chunk: Chunk, version: Version): void {
    const key = chunkKey(position);
    if (!this.held.has(key)) {
      this.held.set(key, { position, chunk, version, confirmed: false });
      this.events.push({ kind: "chunkReplaced", position });
    }
  }

  /** Asks for voxels to change, all in one tick. Returns the input sequence, or null for an impossible edit. */
  edit(voxels: readonly EditVoxel[]): bigint | null {
    const isPossible = voxels.length >= 1 && voxels.length <= MAX_EDIT_VOXELS_PER_FRAME
      && voxels.every(({ position, block }) => isVoxelPosition(position) && block < this.blocks.length);
    if (!isPossible) {
      return null;
    }
    return this.ask({ kind: "edit", sequence: this.nextSequence, voxels });
  }

  /** Sets off a blast. Returns the input sequence, or null for an impossible one. */
  blast(position: Position, power: number): bigint | null {
    const isPossible = isVoxelPosition(position) && Number.isInteger(power) && power >= 1 && power <= 255;
    return isPossible ? this.ask({ kind: "blast", sequence: this.nextSequence, position, power }) : null;
  }

  /**
   * Sends agents to goals. Returns the input sequence, by which the crowd is known once it comes, or null for an impossible
   * one; what the world refuses is told with the acknowledgement.
   */
  crowd({ mode, goals, within, from, agents, speed = USUAL_SPEED }: CrowdOptions): bigint | null {
    const isWhole = (value: number, most: number) => Number.isInteger(value) && value >= 1 && value <= most;
    const isPossible = goals.length >= 1 && goals.length <= MAX_GOALS && isWhole(agents, MAX_AGENTS) && isWhole(speed, 0xffff)
      && this.modes.some((known) => known.name === mode);
    return isPossible
      ? this.ask({
          kind: "crowdRequest", sequence: this.nextSequence, mode, goals, agents, speed,
          first: within.first, end: within.end, fromFirst: from.first, fromEnd: from.end,
        })
      : null;
  }

  /** Takes all crowds of this session out of the world. Returns the input sequence. */
  dismiss(): bigint {
    return this.ask({ kind: "dismiss", sequence: this.nextSequence });
  }

  private ask(input: Input): bigint {
    this.nextSequence += 1n;
    this.unacknowledged.set(input.sequence, input);
    if (this.welcomed) {
      this.output.push(encodeFrame(input));
    }
    return input.sequence;
  }

  /**
   * Asks for a way; rejects with a PathRefusedError where the server refuses. It is asked again after a reconnect. The
   * connection's `flush` sends it.
   */
  path(from: Position, to: Position, options: PathOptions = {}): Promise<Way> {
    return this.paths.ask(Wanted.way, from, to, options);
  }

  /** Asks whether there is a way; otherwise as `path`. */
  async reachable(from: Position, to: Position, options: PathOptions = {}): Promise<Reachability> {
    const { end, searched, tick } = await this.paths.ask(Wanted.reachable, from, to, options);
    return { end, searched, tick };
  }

  /**
   * Opens a field: from each voxel of a box the way to the nearest goal. It follows the world until it is cancelled, also
   * across reconnects, and the listener hears of it. Throws ProtocolError for what can't be asked.
   */
  field(goals: readonly Position[], mode: string, box: Box, listener: (event: FieldEvent) => void = () => {}): Field {
    return this.paths.open(goals, mode, box, listener);
  }

  /**
   * Asks what an undo would do: its counts, and what would be there. Nothing is changed before `start`. The listener hears of all
   * that comes of it; with the connection it ends as refused. Throws ProtocolError for what can't be asked. The connection's
   * `flush` sends it.
   */
  undo(options: UndoOptions, listener: (event: UndoEvent) => void = () => {}): Undo {
    return this.undos.open(options, listener);
  }

  /** Says a frame if there is somebody to hear it, and returns whether there is. */
  private say(frame: ClientFrame): boolean {
    if (this.welcomed) {
      this.output.push(encodeFrame(frame));
    }
    return this.welcomed;
  }

  /** Says which overlays are wanted, a bit for each OverlayKind; holds across reconnects. */
  wantOverlays(kinds: number): void {
    this.overlays = kinds;
    if (this.welcomed) {
      this.output.push(encodeFrame({ kind: "overlay", kinds }));
    }
  }

  /** Sends a Ping whose number is the time, so that its Pong gives the round trip. */
  ping(nowMs: number): void {
    if (this.welcomed) {
      this.output.push(encodeFrame({ kind: "ping", number: BigInt(Math.round(nowMs)) }));
    }
  }

  // Frames

  private handle(nowMs: number, frame: Frame): void {
    if (!this.isOpen) {
      return;
    }
    if (!this.welcomed && frame.kind !== "welcome" && frame.kind !== "refused") {
      throw new ProtocolError(`${frame.kind} came before Welcome`, "stream", 0);
    }
    switch (frame.kind) {
      case "welcome": return this.handleWelcome(nowMs, frame);
      case "registry": return this.handleRegistry(frame);
      case "snapshot": return this.handleSnapshot(frame);
      case "delta":
        this.noteTick(nowMs, frame.tick);
        return frame.chunks.forEach((change) => this.handleChange(change));
      case "same": return frame.chunks.forEach((position) => this.handleSame(position));
      case "forget": return this.handleForget(frame);
      case "acknowledge": return this.handleAcknowledge(nowMs, frame);
      case "caughtUp": return this.handleCaughtUp(frame.subscription);
      case "body": return this.handleBody(nowMs, frame);
      case "bodyMoves": return this.handleBodyMoves(nowMs, frame);
      case "bodyEnds": return frame.handles.forEach((handle) => this.handleBodyEnd(handle));
      case "overlayData": {
        const { chunk: position, overlay, values } = frame;
        this.events.push({ kind: "overlay", position, overlay, values });
        return;
      }
      case "modes":
        this.paths.modes = frame.modes;
        return;
      case "pathAnswer": return this.paths.handleAnswer(frame);
      case "fieldChunk": return this.paths.handleChunk(frame);
      case "fieldState": return this.paths.handleState(frame);
      case "pathRefused": return this.paths.handleRefused(frame);
      case "undoPlan": return this.undos.handlePlan(frame);
      case "undoGhost": return this.undos.handleGhost(frame);
      case "undoProgress": return this.undos.handleProgress(frame);
      case "undoRefused": return this.undos.handleRefused(frame);
      case "crowd": return this.handleCrowd(new HeldCrowd(frame));
      case "agents": return this.handleAgents(nowMs, frame);
      case "agentMoves": return this.handleAgents(nowMs, frame);
      case "crowdEnd": return this.handleCrowdEnd(frame.handle);
      case "refused": return this.handleRefused(frame);
      case "pong":
        this.noteTick(nowMs, frame.tick);
        this.events.push({ kind: "roundTrip", milliseconds: Math.round(nowMs) - Number(frame.number) });
        return;
      default:
        throw new ProtocolError(`${frame.kind} is not for a client`, "stream", 0);
    }
  }

  private noteTick(nowMs: number, tick: bigint): void {
    if (tick >= this.latestTick) {
      this.latestTick = tick;
      this.tickSeenAtMs = nowMs;
    }
  }

  private handleWelcome(nowMs: number, welcome: Welcome): void {
    if (this.welcomed || welcome.version !== PROTOCOL_VERSION) {
      throw new ProtocolError(`an unexpected Welcome for version ${welcome.version}`, "welcome", 0);
    }
    this.welcomed = true;
    this.session = welcome.session;
    this.latestTick = welcome.tick;
    this.tickSeenAtMs = nowMs;
    this.tickMicroseconds = Math.max(1, welcome.tickMicroseconds);
    this.events.push({ kind: "welcome", welcome });
    const heldOf = `${welcome.world.join(",")} ${welcome.identity}`;
    if (heldOf !== this.heldOf) {
      this.heldOf = heldOf;
      this.dropChunks(() => true);
    }
    this.held.forEach((held) => {
      held.confirmed = false;
    });
    if (welcome.resumed) {
      this.resume(welcome);
    } else {
      this.startAfresh();
    }
    if (this.overlays !== 0) {
      this.output.push(encodeFrame({ kind: "overlay", kinds: this.overlays }));
    }
    if (this.shape !== null) {
      this.sendSubscribe(this.shape);
    }
    this.paths.welcomed();
    this.undos.welcomed();
  }

  private resume(welcome: Welcome): void {
    this.dropAcknowledged(welcome.acknowledged);
    for (const input of this.unacknowledged.values()) {
      this.output.push(encodeFrame(input));
    }
  }

  private startAfresh(): void {
    this.blocks = [];
    this.nextSequence = 1n;
    if (this.unacknowledged.size > 0) {
      this.events.push({ kind: "editsLost", count: this.unacknowledged.size });
      this.unacknowledged.clear();
    }
  }

  private handleRegistry({ firstBlock, blocks }: Registry): void {
    if (firstBlock > this.blocks.length) {
      throw new ProtocolError(`blocks from ${firstBlock} on, ${this.blocks.length} known`, "registry", 0);
    }
    blocks.forEach((block, offset) => {
      this.blocks[firstBlock + offset] = block;
    });
    this.events.push({ kind: "registry", blocks: this.blocks });
  }

  private handleSnapshot(snapshot: Snapshot): void {
    this.counted.snapshots += 1;
    this.held.set(chunkKey(snapshot.chunk), {
      position: snapshot.chunk,
      chunk: Chunk.fromSnapshot(snapshot),
      version: snapshot.version,
      confirmed: true,
    });
    this.events.push({ kind: "chunkReplaced", position: snapshot.chunk });
  }

  private handleChange({ chunk, from, to, runs }: ChunkChange): void {
    const held = this.held.get(chunkKey(chunk));
    if (!sameVersion(held?.version ?? NOTHING_HELD, from) || held === undefined) {
      this.subscribeAnew(chunk);
      return;
    }
    this.counted.changes += 1;
    held.chunk.applyRuns(runs);
    held.version = to;
    held.confirmed = true;
    this.events.push({ kind: "chunkChanged", position: chunk, runs });
  }

  /** What was held from before is what the server has. */
  private handleSame(position: Position): void {
    const held = this.held.get(chunkKey(position));
    if (held === undefined) {
      this.subscribeAnew(position);
      return;
    }
    this.counted.same += 1;
    held.confirmed = true;
  }

  /**
   * The server sends nothing again for a chunk that it believes held, so a plain Subscribe would not
   * repair it. Narrowing to one other chunk first makes it forget the damaged one.
   */
  private subscribeAnew(damaged: Position): void {
    this.events.push({ kind: "versionMismatch", position: damaged });
    this.dropChunks((held) => chunkKey(held.position) === chunkKey(damaged));
    if (this.shape === null) {
      return;
    }
    const [x, y, z] = damaged;
    const other: Position = [x > 0 ? x - 1 : x + 1, y, z];
    this.sendSubscribe({ form: "box", first: other, end: [other[0] + 1, y + 1, z + 1] });
    this.sendSubscribe(this.shape);
  }

  private handleForget(forget: Forget): void {
    if (this.held.delete(chunkKey(forget.chunk))) {
      this.events.push({ kind: "chunkForgotten", position: forget.chunk });
    }
  }

  private handleAcknowledge(nowMs: number, { sequence, tick, refusals }: Acknowledge): void {
    if (sequence >= this.nextSequence) {
      throw new ProtocolError(`sequence ${sequence} was never sent`, "acknowledge", 0);
    }
    this.noteTick(nowMs, tick);
    this.dropAcknowledged(sequence);
    this.events.push({ kind: "acknowledged", sequence, refusals });
  }

  private handleBody(nowMs: number, part: BodyPart): void {
    const isNext = part.part === 0 || (this.arriving.length === part.part && this.arriving[0]?.handle === part.handle);
    if (!isNext || this.falling.has(part.handle)) {
      throw new ProtocolError(`part ${part.part} of body ${part.handle} is not the next one`, "body", 0);
    }
    this.arriving = part.part === 0 ? [part] : [...this.arriving, part];
    if (part.part + 1 < part.parts) {
      return;
    }
    const runs = this.arriving.flatMap((arrived) => arrived.runs);
    this.arriving = [];
    this.noteTick(nowMs, part.tick);
    const { handle, corner, voxels, tick } = part;
    const body = { handle, corner, voxels, runs, fall: AT_REST, tick };
    this.falling.set(handle, body);
    this.events.push({ kind: "bodyBegan", body });
  }

  private handleBodyMoves(nowMs: number, { tick, moves }: BodyMoves): void {
    this.noteTick(nowMs, tick);
    for (const { handle, fallen, velocity, phase } of moves) {
      const body = this.falling.get(handle);
      if (body !== undefined) {
        body.fall = { fallen, velocity, phase };
        body.tick = tick;
        this.events.push({ kind: "bodyMoved", body });
      }
    }
  }

  private handleBodyEnd(handle: number): void {
    const body = this.falling.get(handle);
    if (this.arriving[0]?.handle === handle) {
      this.arriving = [];
    }
    if (body !== undefined) {
      this.falling.delete(handle);
      this.events.push({ kind: "bodyEnded", body });
    }
  }

  private handleCrowd(crowd: HeldCrowd): void {
    if (this.seen.has(crowd.handle)) {
      throw new ProtocolError(`crowd ${crowd.handle} came twice`, "crowd", 0);
    }
    this.seen.set(crowd.handle, crowd);
    this.events.push({ kind: "crowdBegan", crowd });
  }

  private handleAgents(nowMs: number, frame: Agents | AgentMoves): void {
    const crowd = this.seen.get(frame.handle);
    if (crowd === undefined) {
      throw new ProtocolError(`crowd ${frame.handle} is not known`, frame.kind, 0);
    }
    this.noteTick(nowMs, frame.tick);
    if (frame.kind === "agents") {
      crowd.place(frame);
    } else {
      crowd.move(frame);
    }
    this.events.push({ kind: "crowdMoved", crowd });
  }

  private handleCrowdEnd(handle: number): void {
    const crowd = this.seen.get(handle);
    if (crowd !== undefined) {
      this.seen.delete(handle);
      this.events.push({ kind: "crowdEnded", crowd });
    }
  }

  private handleCaughtUp(subscription: number): void {
    if (subscription !== this.subscription || this.shape === null) {
      return;
    }
    const shape = this.shape;
    this.isCaughtUp = true;
    this.dropChunks((held) => !held.confirmed && !shapeHolds(shape, held.position));
    this.events.push({ kind: "caughtUp" });
  }

  private handleRefused({ code, text }: Refused): void {
    if (CODES_THAT_END_THE_SESSION.includes(code)) {
      this.abandonSession();
    }
    this.events.push({ kind: "refused", code, text });
  }

  private dropAcknowledged(sequence: bigint): void {
    for (const pending of this.unacknowledged.keys()) {
      if (pending <= sequence) {
        this.unacknowledged.delete(pending);
      }
    }
  }

  private dropChunks(isDropped: (held: HeldChunk) => boolean): void {
    for (const [key, held] of this.held) {
      if (isDropped(held)) {
        this.held.delete(key);
        this.events.push({ kind: "chunkForgotten", position: held.position });
      }
    }
  }

  private sendSubscribe(shape: Shape): void {
    this.sayWhatIsHeld(shape);
    this.subscription += 1;
    this.isCaughtUp = false;
    this.output.push(encodeFrame({ kind: "subscribe", subscription: this.subscription, shape }));
  }

  /** Of what is held from before only changes are sent. */
  private sayWhatIsHeld(shape: Shape): void {
    const kept = [...this.held.values()].filter((held) => !held.confirmed && shapeHolds(shape, held.position));
    for (let first = 0; first < kept.length; first += MAX_HOLDS_CHUNKS) {
      const chunks = kept.slice(first, first + MAX_HOLDS_CHUNKS).map(({ position, version }) => ({ chunk: position, version }));
      this.output.push(encodeFrame({ kind: "holds", chunks }));
    }
  }
}
