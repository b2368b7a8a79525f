/**
 * A development double of the server: serves the built page and speaks the protocol over WebSocket.
 *
 * It is strict about what clients send and keeps edits in a JSON file before it acknowledges them,
 * so that it can be killed and started again like the real one. What it has changed since it started it can take back.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import {
  chunkKey, chunkOfVoxel, encodeFrame, FrameReader, isChunkPosition, isVoxelPosition, localIndex, MAGIC,
  OverlayKind, packVoxels, ProtocolError, RefusedCode, shapeHolds, UndoPhase, UndoRefusal, UndoStep,
  type Edit, type Frame, type Hello, type Position, type Refusal, type Shape, type Subscribe, type UndoAct, type UndoRequest,
} from "@terrane/client";
import { WebSocketServer, type WebSocket } from "ws";
import { DoubleHistory, type PutBack } from "./double-undo.ts";
import { DOUBLE_BLOCKS, generateChunk, groundHeight, WATER_LEVEL } from "./double-world.ts";

const TICK_MS = 50;
const SNAPSHOTS_PER_TURN = 24;
/** So few that one sees an undo go on. */
const UNDO_VOXELS_PER_TICK = 1;
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css",
};

interface Session {
  readonly id: Uint8Array;
  name: string;
  decided: bigint;
  socket: WebSocket | null;
  subscription: number;
  shape: Shape | null;
  readonly sent: Set<string>;
  /** Overlays that it wants, a bit for each kind. */
  overlays: number;
  /** Chunks of the shape that are still to be sent, nearest last. */
  toSend: Position[];
}

/** An undo that was asked for. */
interface OpenUndo {
  readonly session: Session;
  readonly request: number;
  readonly voxels: readonly PutBack[];
  /** 0 before it has begun. */
  number: bigint;
  looked: number;
  stayed: number;
}

interface WorldChunk {
  readonly voxels: Uint16Array;
  count: number;
}

interface Saved {
  epoch: number;
  edits: Record<string, number>;
}

/** A running double. */
export class DoubleServer {
  private readonly http: Server;
  private readonly sessions = new Map<string, Session>();
  private readonly chunks = new Map<string, WorldChunk>();
  private readonly saved: Saved;
  private readonly started = Date.now();
  private pending: { session: Session; edit: Edit }[] = [];
  private timer: NodeJS.Timeout | null = null;
  private readonly history = new DoubleHistory();
  private undos: OpenUndo[] = [];
  private lastUndo = 0n;

  constructor(private readonly file: string, private readonly pageFolder: string) {
    this.saved = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { epoch: 0, edits: {} };
    this.saved.epoch += 1;
    this.save();
    this.http = createServer((request, response) => this.serveFile(request, response));
    new WebSocketServer({ server: this.http, path: "/ws" }).on("connection", (socket) => this.connected(socket));
  }

  /** Listens; resolves when it does. */
  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.http.once("error", reject);
      this.http.listen(port, "127.0.0.1", resolve);
    });
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  /** Ends at once, as a SIGKILL would: nothing is said and nothing more is saved. */
  async kill(): Promise<void> {
    clearInterval(this.timer ?? undefined);
    this.sessions.forEach((session) => session.socket?.terminate());
    const closed = new Promise((resolve) => this.http.close(resolve));
    this.http.closeAllConnections();
    await closed;
  }

  private save(): void {
    writeFileSync(this.file, JSON.stringify(this.saved));
  }

  private get tickNumber(): bigint {
    return BigInt(Math.floor((Date.now() - this.started) / TICK_MS));
  }

  private serveFile(request: IncomingMessage, response: ServerResponse): void {
    const path = normalize((request.url ?? "/").split("?")[0]!);
    const file = join(this.pageFolder, path.endsWith("/") ? `${path}index.html` : path);
    if (!file.startsWith(this.pageFolder) || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": CONTENT_TYPES[extname(file)] ?? "application/octet-stream" });
    response.end(readFileSync(file));
  }

  // Connections

  private connected(socket: WebSocket): void {
    const reader = new FrameReader("client");
    let session: Session | null = null;
    socket.send(MAGIC);
    socket.on("message", (data: Buffer) => {
      try {
        for (const frame of reader.push(data)) {
          session = this.receive(socket, session, frame);
        }
      } catch (error) {
        if (!(error instanceof ProtocolError)) {
          throw error;
        }
        this.refuse(socket, RefusedCode.payloadDoesNotFit, error.message);
      }
    });
    socket.on("close", () => {
      if (session?.socket === socket) {
        session.socket = null;
      }
    });
  }

  private refuse(socket: WebSocket, code: number, text: string): void {
    socket.send(encodeFrame({ kind: "refused", code, text }));
    socket.close();
  }

  private receive(socket: WebSocket, session: Session | null, frame: Frame): Session | null {
    if ((frame.kind === "hello") !== (session === null)) {
      this.refuse(socket, RefusedCode.helloMissingOrRepeated, "Hello must come first, and once.");
      return session;
    }
    if (frame.kind === "hello") {
      return this.welcome(socket, frame);
    }
    if (frame.kind === "subscribe") {
      this.subscribe(session!, frame);
    } else if (frame.kind === "edit") {
      this.queueEdit(session!, frame);
    } else if (frame.kind === "blast") {
      // The double has no physics: a blast is decided, and changes nothing.
      this.queueEdit(session!, { kind: "edit", sequence: frame.sequence, voxels: [] });
    } else if (frame.kind === "overlay") {
      session!.overlays = frame.kinds;
      session!.sent.forEach((key) => this.sendOverlays(session!, key.split(",").map(Number) as unknown as Position));
    } else if (frame.kind === "undoRequest") {
      this.planUndo(session!, frame);
    } else if (frame.kind === "undoAct") {
      this.actOnUndo(session!, frame);
    } else if (frame.kind === "ping") {
      socket.send(encodeFrame({ kind: "pong", number: frame.number, tick: this.tickNumber }));
    }
    return session;
  }

  private welcome(socket: WebSocket, hello: Hello): Session {
    const known = this.sessions.get(Buffer.from(hello.session).toString("hex"));
    const session = known ?? {
      id: new Uint8Array(randomBytes(16)), name: hello.name, decided: 0n, socket: null, subscription: 0, shape: null,
      sent: new Set<string>(), overlays: 0, toSend: [],
    };
    this.sessions.set(Buffer.from(session.id).toString("hex"), session);
    session.socket = socket;
    session.name = hello.name;
    session.shape = null;
    this.undos = this.undos.filter((undo) => undo.session !== session || undo.number !== 0n);
    session.sent.clear();
    session.overlays = 0;
    session.toSend = [];
    const [x, z] = spawnColumn();
    this.send(session, {
      kind: "welcome", version: 2, resumed: known !== undefined, epoch: this.saved.epoch, session: session.id,
      world: new Uint8Array(16).fill(0xdd), tick: this.tickNumber, acknowledged: session.decided,
      tickMicroseconds: TICK_MS * 1_000, blockCount: DOUBLE_BLOCKS.length,
      spawn: [x, groundHeight(x, z) + 1, z], identity: 0n,
    });
    this.send(session, { kind: "registry", firstBlock: 0, blocks: DOUBLE_BLOCKS });
    return session;
  }

  private send(session: Session, frame: Frame): void {
    session.socket?.send(encodeFrame(frame));
  }

  private subscribe(session: Session, { subscription, shape }: Subscribe): void {
    if (subscription <= session.subscription && session.shape !== null) {
      this.refuse(session.socket!, RefusedCode.valueOutOfBounds, "Subscription numbers must grow.");
      return;
    }
    session.subscription = subscription;
    session.shape = shape;
    const wanted = chunksOf(shape);
    const keys = new Set(wanted.map(chunkKey));
    for (const key of session.sent) {
      if (!keys.has(key)) {
        session.sent.delete(key);
        const [x, y, z] = key.split(",").map(Number) as [number, number, number];
        this.send(session, { kind: "forget", chunk: [x, y, z], subscription });
      }
    }
    const wasIdle = session.toSend.length === 0;
    session.toSend = wanted.filter((chunk) => !session.sent.has(chunkKey(chunk))).reverse();
    if (wasIdle) {
      this.sendSome(session);
    }
  }

  private sendSome(session: Session): void {
    for (let count = 0; count < SNAPSHOTS_PER_TURN && session.toSend.length > 0; count += 1) {
      const position = session.toSend.pop()!;
      const chunk = this.chunkAt(position);
      session.sent.add(chunkKey(position));
      this.send(session, {
        kind: "snapshot", chunk: position, subscription: session.subscription,
        version: { epoch: this.saved.epoch, count: chunk.count }, ...packVoxels(chunk.voxels),
      });
      this.sendOverlays(session, position);
    }
    if (session.toSend.length > 0) {
      setImmediate(() => this.sendSome(session));
    } else {
      this.send(session, { kind: "caughtUp", subscription: session.subscription });
    }
  }

  /** The double knows no overlay, and says so. */
  private sendOverlays(session: Session, chunk: Position): void {
    for (const overlay of Object.values(OverlayKind).filter((kind) => (session.overlays >> kind) & 1)) {
      this.send(session, { kind: "overlayData", chunk, overlay, version: { epoch: 0, count: 0 }, values: null });
    }
  }

  private chunkAt(position: Position): WorldChunk {
    const key = chunkKey(position);
    const known = this.chunks.get(key);
    if (known !== undefined) {
      return known;
    }
    const chunk = { voxels: generateChunk(position), count: 1 };
    for (const [place, id] of Object.entries(this.saved.edits)) {
      const [x, y, z] = place.split(",").map(Number) as [number, number, number];
      if (chunkKey(chunkOfVoxel([x, y, z])) === key) {
        chunk.voxels[localIndex(x, y, z)] = id;
      }
    }
    this.chunks.set(key, chunk);
    return chunk;
  }

  // Edits

  private queueEdit(session: Session, edit: Edit): void {
    const waiting = this.pending.filter((entry) => entry.session === session).length;
    const expected = session.decided + BigInt(waiting) + 1n;
    if (edit.sequence > expected) {
      this.refuse(session.socket!, RefusedCode.sequenceGap, `Input ${edit.sequence} came where ${expected} was due.`);
    } else {
      this.pending.push({ session, edit });
    }
  }

  private tick(): void {
    const decided = this.pending;
    this.pending = [];
    const changed = new Map<string, Map<number, number>>();
    const refusals = new Map<Session, Refusal[]>();
    for (const { session, edit } of decided) {
      const reason = edit.sequence <= session.decided ? 0 : faultOf(edit);
      refusals.set(session, [
        ...(refusals.get(session) ?? []), ...(reason === 0 ? [] : [{ sequence: edit.sequence, reason }]),
      ]);
      if (edit.sequence > session.decided && reason === 0) {
        edit.voxels.forEach(({ position, block }) => this.put(position, block, changed, session.name, 0n));
      }
      session.decided = edit.sequence > session.decided ? edit.sequence : session.decided;
    }
    const told = this.carryUndosOn(changed);
    if (decided.length > 0 || told.length > 0) {
      this.save();
    }
    changed.forEach((voxels, key) => this.sendDelta(key, voxels));
    told.forEach((undo) => this.sendProgress(undo, undo.looked === undo.voxels.length ? UndoPhase.done : UndoPhase.going));
    refusals.forEach((refused, session) => {
      this.send(session, { kind: "acknowledge", sequence: session.decided, tick: this.tickNumber, refusals: refused });
    });
  }

  private put(position: Position, block: number, changed: Map<string, Map<number, number>>, name: string, undo: bigint): void {
    const chunk = chunkOfVoxel(position);
    const index = localIndex(...position);
    const { voxels } = this.chunkAt(chunk);
    this.history.note(position, { before: voxels[index]!, after: block, name, atMs: Date.now(), undo });
    voxels[index] = block;
    this.saved.edits[position.join(",")] = block;
    const key = chunkKey(chunk);
    changed.set(key, (changed.get(key) ?? new Map<number, number>()).set(index, block));
  }

  // Taking back

  private planUndo(session: Session, ask: UndoRequest): void {
    const { request } = ask;
    if (this.undos.some(({ number }) => number !== 0n)) {
      return this.refuseUndo(session, request, UndoRefusal.anotherGoesOn, "another undo goes on");
    }
    if (ask.by !== "" && ask.undo === 0n && !this.history.knows(ask.by)) {
      return this.refuseUndo(session, request, UndoRefusal.nobody, `nobody is called ${ask.by}`);
    }
    const { plan, ghost, voxels } = this.history.plan(ask, Date.now());
    this.undos = [
      ...this.undos.filter((undo) => undo.session !== session), { session, request, voxels, number: 0n, looked: 0, stayed: 0 },
    ];
    // The real server says so while something falls; here nothing does, but whoever asks has to bear it.
    this.send(session, { kind: "undoProgress", request, state: UndoPhase.waiting, undo: 0n, looked: 0n, of: 0n, stayed: 0n });
    this.send(session, plan);
    this.send(session, { kind: "undoGhost", request, last: true, more: false, tick: this.tickNumber, chunks: ghost });
  }

  private refuseUndo(session: Session, request: number, code: number, text: string): void {
    this.send(session, { kind: "undoRefused", request, code, text });
  }

  private actOnUndo(session: Session, { request, act }: UndoAct): void {
    const undo = this.undos.find((open) => open.session === session && open.request === request);
    if (undo === undefined) {
      return this.refuseUndo(session, request, UndoRefusal.noPlan, "there is no such plan");
    }
    if (act === UndoStep.start) {
      this.lastUndo += 1n;
      undo.number = this.lastUndo;
      return;
    }
    this.undos = this.undos.filter((open) => open !== undo);
    if (undo.number !== 0n) {
      this.sendProgress(undo, UndoPhase.ended);
    }
  }

  /** A part of each undo that has begun; what is not any more what its plan says stays. Returns those undos. */
  private carryUndosOn(changed: Map<string, Map<number, number>>): OpenUndo[] {
    const going = this.undos.filter(({ number }) => number !== 0n);
    for (const undo of going) {
      for (const { position, from, to } of undo.voxels.slice(undo.looked, undo.looked + UNDO_VOXELS_PER_TICK)) {
        undo.looked += 1;
        if (this.chunkAt(chunkOfVoxel(position)).voxels[localIndex(...position)] === from) {
          this.put(position, to, changed, "", undo.number);
        } else {
          undo.stayed += 1;
        }
      }
    }
    this.undos = this.undos.filter(({ number, looked, voxels }) => number === 0n || looked < voxels.length);
    return going;
  }

  private sendProgress({ session, request, number, looked, stayed, voxels }: OpenUndo, state: number): void {
    const [of, counted] = [BigInt(voxels.length), { looked: BigInt(looked), stayed: BigInt(stayed) }];
    this.send(session, { kind: "undoProgress", request, state, undo: number, of, ...counted });
  }

  private sendDelta(key: string, voxels: Map<number, number>): void {
    const position = key.split(",").map(Number) as [number, number, number];
    const chunk = this.chunkAt(position);
    const from = { epoch: this.saved.epoch, count: chunk.count };
    chunk.count += 1;
    const runs = [...voxels].sort(([a], [b]) => a - b).flatMap(([index, block]) => [index, 1, block]);
    for (const session of this.sessions.values()) {
      if (session.sent.has(key) && session.shape !== null && shapeHolds(session.shape, position)) {
        this.send(session, {
          kind: "delta", tick: this.tickNumber,
          chunks: [{ chunk: position, from, to: { ...from, count: chunk.count }, runs: Uint16Array.from(runs) }],
        });
      }
    }
  }
}

/** The first dry column to the east of the origin. */
function spawnColumn(): readonly [number, number] {
  let x = 8;
  while (groundHeight(x, 8) <= WATER_LEVEL + 1) {
    x += 1;
  }
  return [x, 8];
}

function faultOf(edit: Edit): number {
  if (edit.voxels.some(({ block }) => block >= DOUBLE_BLOCKS.length)) {
    return 1;
  }
  return edit.voxels.every(({ position }) => isVoxelPosition(position)) ? 0 : 2;
}

/** A shape's chunks inside the world, nearest to its middle first. */
function chunksOf(shape: Shape): Position[] {
  const isBox = shape.form === "box";
  const reach = isBox ? [0, 0, 0] : [shape.horizontal, shape.vertical, shape.horizontal];
  const first = isBox ? shape.first : shape.center.map((value, axis) => value - reach[axis]!);
  const end = isBox ? shape.end : shape.center.map((value, axis) => value + reach[axis]! + 1);
  const middle = isBox ? first.map((value, axis) => (value + end[axis]! - 1) / 2) : shape.center;
  const chunks: Position[] = [];
  for (let y = first[1]!; y < end[1]!; y += 1) {
    for (let z = first[2]!; z < end[2]!; z += 1) {
      for (let x = first[0]!; x < end[0]!; x += 1) {
        if (isChunkPosition([x, y, z]) && shapeHolds(shape, [x, y, z])) {
          chunks.push([x, y, z]);
        }
      }
    }
  }
  const distance = (chunk: Position) => chunk.reduce((sum, value, axis) => sum + (value - middle[axis]!) ** 2, 0);
  return chunks.sort((a, b) => distance(a) - distance(b));
}
