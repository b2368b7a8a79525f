/** The client machine against a scripted server: resume, re-sent edits, version mismatch, damage. */
import {
  AT_REST, backoffMs, BACKOFF_CAP_MS, Chunk, Client, Connection, encodeFrame, fallOn, FieldMove, FrameReader, MAGIC, OverlayKind,
  packVoxels, PathRefusal, PathRefusedError, ProtocolError, UndoPhase, UndoRefusal, UndoStep,
  type BodyPart, type ClientEvent, type ConnectionState, type FieldEvent, type Frame, type Position, type Socket, type Undo, type UndoEvent,
  type UndoOptions, type Welcome,
} from "../src/index.ts";

const WELCOME: Welcome = {
  kind: "welcome", version: 2, resumed: false, epoch: 1, session: new Uint8Array(16).fill(9),
  world: new Uint8Array(16), tick: 5n, acknowledged: 0n, tickMicroseconds: 50_000, blockCount: 2, spawn: [0, 64, 0], identity: 3n,
};
const REGISTRY: Frame = {
  kind: "registry", firstBlock: 0,
  blocks: [{ name: "air", flags: 0, color: [0, 0, 0], light: 0 }, { name: "stone", flags: 3, color: [9, 9, 9], light: 0 }],
};
const SHAPE = { form: "radius", center: [0, 0, 0], horizontal: 1, vertical: 0 } as const;

function snapshot(chunk: Position, count: number): Frame {
  return {
    kind: "snapshot", chunk, subscription: 1, version: { epoch: 1, count },
    ...packVoxels(new Uint16Array(32_768).fill(1)),
  };
}

function delta(from: number, ...runs: number[]): Frame {
  return {
    kind: "delta", tick: 6n,
    chunks: [{
      chunk: [0, 0, 0], from: { epoch: 1, count: from }, to: { epoch: 1, count: from + 1 }, runs: Uint16Array.from(runs),
    }],
  };
}

/** One connection's server end. */
class Script {
  private readonly reader = new FrameReader("client");
  constructor(private readonly client: Client) {
    client.opened();
  }
  say(...frames: Frame[]): ClientEvent[] {
    this.client.receive(0, Buffer.concat(frames.map(encodeFrame)));
    const events: ClientEvent[] = [];
    for (let event = this.client.pollEvent(); event !== null; event = this.client.pollEvent()) {
      events.push(event);
    }
    return events;
  }
  start(welcome: Partial<Welcome> = {}): ClientEvent[] {
    this.client.receive(0, MAGIC);
    return this.say({ ...WELCOME, ...welcome }, REGISTRY);
  }
  heard(): Frame[] {
    const frames: Frame[] = [];
    for (let bytes = this.client.pollOutput(); bytes !== null; bytes = this.client.pollOutput()) {
      frames.push(...this.reader.push(bytes));
    }
    return frames;
  }
}

const STONE = [{ position: [1, 0, 0], block: 1 }] as const;
const AIR = [{ position: [1, 0, 0], block: 0 }] as const;

test("a new session: Hello, subscription, snapshot, delta, caught up", () => {
  const client = new Client("test");
  client.subscribe(SHAPE);
  const server = new Script(client);
  server.start();
  expect(server.heard().map((frame) => frame.kind)).toEqual(["hello", "subscribe"]);
  server.say(snapshot([0, 0, 0], 4), delta(4, 1, 2, 0), { kind: "caughtUp", subscription: 1 });
  expect([client.blockAt([0, 0, 0]), client.blockAt([1, 0, 0]), client.blockAt([3, 0, 0])]).toEqual([1, 0, 1]);
  expect(client.blockAt([40, 0, 0])).toBeNull();
  expect(client.caughtUp).toBe(true);
});

test("a resumed reconnect sends again exactly what was not acknowledged, with the old numbers", () => {
  const client = new Client("test");
  const first = new Script(client);
  first.start();
  client.edit(STONE);
  client.edit(AIR);
  client.edit(STONE);
  first.say({ kind: "acknowledge", sequence: 1n, tick: 6n, refusals: [] });
  expect(client.unacknowledgedCount).toBe(2);
  client.closed();
  const second = new Script(client);
  second.start({ resumed: true, acknowledged: 2n });
  const [hello, ...rest] = second.heard();
  expect(hello).toMatchObject({ kind: "hello", session: WELCOME.session });
  expect(rest).toEqual([{ kind: "edit", sequence: 3n, voxels: STONE }]);
  expect(client.edit(AIR)).toBe(4n);
});

test("what is held after a reconnect is told to the server, which says only what has changed", () => {
  const client = new Client("test");
  client.subscribe(SHAPE);
  const first = new Script(client);
  first.start();
  first.say(snapshot([0, 0, 0], 4), snapshot([1, 0, 0], 7), { kind: "caughtUp", subscription: 1 });
  client.closed();
  const second = new Script(client);
  // The server has been restarted: the session is another one, the world is not.
  second.start({ session: new Uint8Array(16).fill(8), epoch: 2 });
  const heard = second.heard();
  expect(heard.map((frame) => frame.kind)).toEqual(["hello", "holds", "subscribe"]);
  expect(heard[1]).toEqual({
    kind: "holds",
    chunks: [{ chunk: [0, 0, 0], version: { epoch: 1, count: 4 } }, { chunk: [1, 0, 0], version: { epoch: 1, count: 7 } }],
  });
  const events = second.say(
    { kind: "same", subscription: 2, chunks: [[1, 0, 0]] }, delta(4, 1, 2, 0), { kind: "caughtUp", subscription: 2 },
  );
  expect(events.map((event) => event.kind)).toEqual(["chunkChanged", "caughtUp"]);
  expect(client.blockAt([1, 0, 0])).toBe(0);
  expect([...client.chunks.values()].every((held) => held.confirmed)).toBe(true);
});

test("what is held of another world, or of one that is made from something else, is dropped", () => {
  for (const other of [{ identity: 4n }, { world: new Uint8Array(16).fill(1) }]) {
    const client = new Client("test");
    client.subscribe(SHAPE);
    const first = new Script(client);
    first.start();
    first.say(snapshot([0, 0, 0], 4));
    client.closed();
    const second = new Script(client);
    expect(second.start(other)).toContainEqual({ kind: "chunkForgotten", position: [0, 0, 0] });
    expect(second.heard().map((frame) => frame.kind)).toEqual(["hello", "subscribe"]);
  }
});

test("a chunk that was kept is there at once, and told to the server with the subscription", () => {
  const client = new Client("test");
  const server = new Script(client);
  server.start();
  client.adopt([0, 0, 0], Chunk.fromSnapshot(packVoxels(new Uint16Array(32_768).fill(1))), { epoch: 1, count: 4 });
  client.adopt([9, 0, 0], Chunk.fromSnapshot(packVoxels(new Uint16Array(32_768))), { epoch: 1, count: 5 });
  expect(client.blockAt([3, 3, 3])).toBe(1);
  client.look([1, 70, 2], [127, 0, -5]);
  client.subscribe(SHAPE);
  const [, look, holds, subscribe] = server.heard();
  expect(look).toEqual({ kind: "look", eye: [1, 70, 2], forward: [127, 0, -5] });
  expect(holds).toEqual({ kind: "holds", chunks: [{ chunk: [0, 0, 0], version: { epoch: 1, count: 4 } }] });
  expect(subscribe).toMatchObject({ kind: "subscribe", subscription: 1 });
  const events = server.say(delta(4, 1, 2, 0), { kind: "caughtUp", subscription: 1 });
  expect(events).toContainEqual({ kind: "chunkForgotten", position: [9, 0, 0] });
  expect(client.blockAt([1, 0, 0])).toBe(0);
});

test("a new session after a reconnect says that edits were lost", () => {
  const client = new Client("test");
  client.subscribe(SHAPE);
  const first = new Script(client);
  first.start();
  first.say(snapshot([0, 0, 0], 4));
  client.edit(STONE);
  client.closed();
  const second = new Script(client);
  const events = second.start({ session: new Uint8Array(16).fill(8) });
  expect(events).toContainEqual({ kind: "editsLost", count: 1 });
  expect(client.edit(STONE)).toBe(1n);
});

test("a delta from another version drops the chunk and subscribes anew", () => {
  const client = new Client("test");
  client.subscribe(SHAPE);
  const server = new Script(client);
  server.start();
  server.heard();
  server.say(snapshot([0, 0, 0], 4));
  const events = server.say(delta(5, 0, 1, 0));
  expect(events.map((event) => event.kind)).toEqual(["versionMismatch", "chunkForgotten"]);
  expect(server.heard()).toMatchObject([{ subscription: 2, shape: { form: "box" } }, { subscription: 3, shape: SHAPE }]);
  expect(client.chunkAt([0, 0, 0])).toBeNull();
});

test("impossible edits are not sent", () => {
  const client = new Client("test");
  new Script(client).start();
  expect(client.edit([])).toBeNull();
  expect(client.edit([{ position: [0, 4_000, 0], block: 1 }])).toBeNull();
  expect(client.edit([{ position: [0, 0, 0], block: 2 }])).toBeNull();
});

test("backoff has full jitter below a growing, capped bound", () => {
  expect(backoffMs(0, 0.5)).toBe(250);
  expect(backoffMs(3, 0)).toBe(0);
  expect(backoffMs(40, 0.999)).toBeLessThan(BACKOFF_CAP_MS);
});

test("the shell reconnects after damaged bytes, with a new session, and names the damage", () => {
  const client = new Client("test");
  const sockets: (Socket & { sent: Uint8Array[] })[] = [];
  const timers: (() => void)[] = [];
  const states: ConnectionState[] = [];
  const connection = new Connection("ws://test/ws", client, () => {}, (state) => states.push(state), {
    openSocket: () => {
      const sent: Uint8Array[] = [];
      const socket = {
        binaryType: "", onopen: null, onclose: null, onerror: null, onmessage: null, sent,
        send: (bytes: Uint8Array) => void sent.push(bytes), close: () => {},
      };
      sockets.push(socket);
      return socket;
    },
    nowMs: () => 0,
    random: () => 0.5,
    later: (_, callback) => {
      timers.push(callback);
      return () => {};
    },
  });
  connection.open();
  sockets[0]!.onopen!();
  sockets[0]!.onmessage!({ data: Uint8Array.from(Buffer.concat([MAGIC, encodeFrame(WELCOME)])).buffer });
  expect(connection.state.phase).toBe("live");
  sockets[0]!.onmessage!({ data: new Uint8Array(8).fill(255).buffer });
  expect(states.at(-1)).toMatchObject({ phase: "reconnecting", reason: expect.stringContaining("could not be read") });
  timers.at(-1)!();
  sockets[1]!.onopen!();
  expect(sockets[1]!.sent[1]!.slice(16, 32)).toEqual(new Uint8Array(16));
});

test("blasts and edits are numbered together, and are sent again alike", () => {
  const client = new Client("test");
  const first = new Script(client);
  first.start();
  expect([client.edit(STONE), client.blast([1, 2, 3], 64), client.edit(AIR)]).toEqual([1n, 2n, 3n]);
  expect([client.blast([0, 2_048, 0], 64), client.blast([0, 0, 0], 0), client.blast([0, 0, 0], 256)]).toEqual([null, null, null]);
  client.wantOverlays(1);
  client.closed();
  const second = new Script(client);
  second.start({ resumed: true, acknowledged: 1n });
  expect(second.heard().slice(1)).toEqual([
    { kind: "blast", sequence: 2n, position: [1, 2, 3], power: 64 },
    { kind: "edit", sequence: 3n, voxels: AIR },
    { kind: "overlay", kinds: 1 },
  ]);
});

const BODY: BodyPart = {
  kind: "body", handle: 7, tick: 9n, origin: [4, 5, 6], corner: [4, 5, 6], part: 0, parts: 1, voxels: 2,
  runs: [{ first: [0, 0, 0], length: 2, block: 1 }],
};

test("a body begins at rest, moves as it is told, and ends; a lost connection ends all", () => {
  const client = new Client("test");
  const server = new Script(client);
  server.start();
  const [began] = server.say(BODY);
  expect(began).toMatchObject({ kind: "bodyBegan", body: { handle: 7, voxels: 2, fall: AT_REST, tick: 9n } });
  expect(client.ticksSince(9n, 50)).toBe(1);
  const moves = [{ handle: 7, fallen: 256, velocity: 0, phase: 1 }, { handle: 8, fallen: 0, velocity: 10, phase: 0 }];
  expect(server.say({ kind: "bodyMoves", tick: 14n, moves })).toHaveLength(1);
  expect(client.bodies.get(7)).toMatchObject({ fall: { fallen: 256, velocity: 0, phase: 1 }, tick: 14n });
  expect(server.say({ kind: "bodyEnds", handles: [7, 8] })).toMatchObject([{ kind: "bodyEnded", body: { handle: 7 } }]);
  server.say({ ...BODY, handle: 9 });
  client.closed();
  expect(client.bodies.size).toBe(0);
  expect(client.pollEvent()).toMatchObject({ kind: "bodyEnded", body: { handle: 9 } });
});

test("a body of several parts begins with the last of them, and a part out of order is damage", () => {
  const client = new Client("test");
  const server = new Script(client);
  server.start();
  expect(server.say({ ...BODY, voxels: 4, parts: 2 })).toEqual([]);
  const second: BodyPart = { ...BODY, voxels: 4, parts: 2, part: 1, runs: [{ first: [0, 1, 0], length: 2, block: 1 }] };
  expect(server.say(second)).toMatchObject([{ kind: "bodyBegan", body: { runs: { length: 2 } } }]);
  expect(() => server.say({ ...second, handle: 8 })).toThrow(/not the next one/);
});

test("an overlay is handed on with its values", () => {
  const client = new Client("test");
  const server = new Script(client);
  server.start();
  const values = new Uint8Array(32_768).fill(200);
  for (const overlay of [OverlayKind.support, OverlayKind.light]) {
    const frame = { kind: "overlayData", chunk: [0, 0, 0], overlay, version: { epoch: 1, count: 4 }, values } as const;
    expect(server.say(frame)).toEqual([{ kind: "overlay", position: [0, 0, 0], overlay, values }]);
  }
});

test("a falling body stops above what is in its way, as the server's does", () => {
  let fall = AT_REST;
  for (let tick = 0; tick < 30; tick += 1) {
    fall = fallOn(fall, (step) => step < 3);
  }
  expect(fall).toEqual({ fallen: 512, velocity: 0, phase: 1 });
});

const FIELD_BOX = { first: [0, 0, 0], end: [32, 32, 32] } as const;

/** Every voxel of a chunk goes up, at a cost of its index. */
function fieldChunk(request: number, tick: bigint): Frame {
  const moves = new Uint8Array(32_768).fill(1);
  moves.fill(FieldMove.blocked, 0, 32);
  moves[32] = FieldMove.goal;
  const costs = Uint32Array.from({ length: 32_768 - 33 }, (_, index) => 100 + index);
  return { kind: "fieldChunk", request, chunk: [0, 0, 0], tick, moves, costs };
}

test("a way comes in parts, and whether there is one in one", async () => {
  const client = new Client("test");
  const server = new Script(client);
  server.start();
  server.heard();
  const modes = [{ name: "fly", medium: 1, diagonal: false, swim: false, climb: false, height: 1, width: 1, stepUp: 0, drop: 0 }];
  server.say({ kind: "modes", modes });
  expect(client.modes).toEqual(modes);
  const way = client.path([0, 1, 0], [9, 1, 0], { mode: "fly", around: 16 });
  const reachable = client.reachable([0, 1, 0], [9, 1, 0]);
  expect(server.heard()).toEqual([
    { kind: "pathRequest", request: 1, wanted: 0, around: 16, mode: "fly", from: [0, 1, 0], to: [9, 1, 0] },
    { kind: "pathRequest", request: 2, wanted: 1, around: 128, mode: "ground", from: [0, 1, 0], to: [9, 1, 0] },
  ]);
  const answer = { kind: "pathAnswer", end: 0, cost: 20n, searched: 9n, tick: 7n } as const;
  server.say(
    { ...answer, request: 1, part: 0, last: false, waypoints: [[0, 1, 0]] },
    { ...answer, request: 2, part: 0, last: true, end: 2, cost: 0n, waypoints: [] },
    { ...answer, request: 1, part: 1, last: true, waypoints: [[9, 1, 0]] },
  );
  expect(await way).toEqual({ end: "goal", cost: 20n, searched: 9n, tick: 7n, waypoints: [[0, 1, 0], [9, 1, 0]] });
  expect(await reachable).toEqual({ end: "unreachable", searched: 9n, tick: 7n });
  const third = client.path([0, 1, 0], [9, 1, 0]);
  const wrong: Frame = { ...answer, request: 3, part: 1, last: true, waypoints: [] };
  expect(() => server.say(wrong)).toThrow(/part 1 of a way, 0 is the next/);
  server.say({ kind: "pathRefused", request: 3, code: PathRefusal.unreadable, text: "later" });
  await expect(third).rejects.toMatchObject({ code: PathRefusal.unreadable });
});

test("a request that is refused or called off rejects, and the answer that crosses it is passed over", async () => {
  const client = new Client("test");
  const server = new Script(client);
  server.start();
  server.heard();
  const refused = client.path([0, 1, 0], [9, 1, 0], { mode: "crawl" });
  server.say({ kind: "pathRefused", request: 1, code: PathRefusal.mode, text: "no such mode" });
  await expect(refused).rejects.toThrow("no such mode");
  await expect(refused).rejects.toBeInstanceOf(PathRefusedError);
  const off = new AbortController();
  const calledOff = client.path([0, 1, 0], [9, 1, 0], { signal: off.signal });
  off.abort();
  await expect(calledOff).rejects.toMatchObject({ code: PathRefusal.cancelled });
  expect(server.heard().at(-1)).toEqual({ kind: "cancel", request: 2 });
  server.say({ kind: "pathAnswer", request: 2, part: 0, last: true, end: 0, cost: 2n, searched: 1n, tick: 7n, waypoints: [] });
  await expect(client.path([0, 1, 0], [9, 1, 0], { signal: off.signal })).rejects.toMatchObject({ code: PathRefusal.cancelled });
  await expect(client.path([0, 1, 0], [9, 1, 0], { mode: "" })).rejects.toBeInstanceOf(ProtocolError);
  expect(() => client.field([], "fly", FIELD_BOX)).toThrow(/0 goals/);
});

test("a field is held, goes stale, becomes current, and is asked for again after a reconnect", () => {
  const client = new Client("test");
  const first = new Script(client);
  first.start();
  first.heard();
  const heard: FieldEvent[] = [];
  const field = client.field([[0, 0, 1]], "fly", FIELD_BOX, (event) => heard.push(event));
  expect(field.moveAt([1, 1, 1])).toBeNull();
  first.say(fieldChunk(1, 7n), { kind: "fieldState", request: 1, current: true, tick: 7n, chunks: 1 });
  expect([field.chunks, field.partAt([0, 0, 0])?.moves[33], field.partAt([0, 0, 0])?.costs[33], field.partAt([0, 1, 0])])
    .toEqual([[[0, 0, 0]], 1, 100, null]);
  expect([field.moveAt([0, 0, 1]), field.moveAt([3, 0, 0]), field.moveAt([1, 0, 1])]).toEqual([252, 255, 1]);
  expect([field.costAt([0, 0, 1]), field.costAt([1, 0, 1]), field.costAt([2, 0, 1])]).toEqual([null, 100, 101]);
  expect([field.next([1, 0, 1]), field.next([0, 0, 1])]).toEqual([[1, 1, 1], null]);
  expect(field.isCurrent).toBe(true);
  first.say({ kind: "fieldState", request: 1, current: false, tick: 8n, chunks: 1 });
  expect([field.isCurrent, field.tick]).toEqual([false, 8n]);
  first.say({ kind: "fieldState", request: 1, current: true, tick: 8n, chunks: 1 });
  client.closed();
  expect(field.isCurrent).toBe(false);
  expect(heard.map((event) => event.kind)).toEqual(["chunk", "state", "state", "state", "state"]);
  const second = new Script(client);
  second.start({ resumed: true });
  expect(second.heard().at(-1)).toMatchObject({ kind: "fieldRequest", request: 1, goals: [[0, 0, 1]], mode: "fly" });
  field.cancel();
  field.cancel();
  expect(second.heard()).toEqual([{ kind: "cancel", request: 1 }]);
  second.say({ kind: "pathRefused", request: 1, code: PathRefusal.cancelled, text: "called off" });
  const other = client.field([[0, 0, 1]], "fly", FIELD_BOX, (event) => heard.push(event));
  second.say({ kind: "pathRefused", request: 2, code: PathRefusal.noRoom, text: "no room" });
  expect(heard.at(-1)).toMatchObject({ kind: "ended", error: { code: PathRefusal.noRoom } });
  expect(other.isCurrent).toBe(false);
});

const GROUND = {
  name: "ground", medium: 0, diagonal: false, swim: true, climb: true, height: 2, width: 1, stepUp: 1, drop: 3,
} as const;
const CROWD = { handle: 3, sequence: 1n, mode: "ground", speed: 64, goals: [[9, 0, 0]], first: [0, 0, 0], end: [200, 9, 9] } as const;
const place = (number: number, position: Position, exit: number | null = null) => ({ number, position, exit });
const places = (client: Client) => [...client.crowds.get(3)!.agents()].map(({ number, position }) => [number, ...position]);

/** A client that has been told of a crowd with two agents in column 0, 0. */
function crowded(): { client: Client; server: Script } {
  const client = new Client("test");
  const server = new Script(client);
  server.start();
  const agents = [place(0, [127, 0, 5]), place(4, [7, 2, 5], 5)];
  server.say({ kind: "crowd", ...CROWD }, { kind: "agents", handle: 3, column: [0, 0], tick: 6n, agents });
  return { client, server };
}

test("agents step, cross from one column into another, and leave with their crowd", () => {
  const { client, server } = crowded();
  expect(places(client)).toEqual([[0, 127, 0, 5], [4, 7, 2, 5]]);
  const steps = [{ number: 0, exit: null }, { number: 4, exit: 1 }];
  const events = server.say(
    { kind: "agentMoves", handle: 3, column: [0, 0], from: 6n, tick: 9n, steps, entered: [] },
    { kind: "agents", handle: 3, column: [1, 0], tick: 9n, agents: [place(0, [128, 0, 5], 5)] },
  );
  expect(events.map((event) => event.kind)).toEqual(["crowdMoved", "crowdMoved"]);
  expect(places(client)).toEqual([[4, 7, 3, 5], [0, 128, 0, 5]]);
  const entered = [place(7, [1, 1, 1])];
  server.say(
    { kind: "agentMoves", handle: 3, column: [0, 0], from: 9n, tick: 10n, steps: [], entered },
    { kind: "agents", handle: 3, column: [1, 0], tick: 11n, agents: [] },
  );
  expect(places(client)).toEqual([[4, 7, 3, 5], [7, 1, 1, 1]]);
  expect([client.crowds.get(3)!.count, client.crowds.get(3)!.box.end[0]]).toEqual([2, 200]);
  expect(server.say({ kind: "crowdEnd", handle: 3 }).map((event) => event.kind)).toEqual(["crowdEnded"]);
  expect(client.crowds.size).toBe(0);
});

test("steps that do not follow on what is known end the stream with an error that says which", () => {
  const moves = (from: bigint, number: number): Frame => (
    { kind: "agentMoves", handle: 3, column: [0, 0], from, tick: 20n, steps: [{ number, exit: 1 }], entered: [] });
  expect(() => crowded().server.say(moves(5n, 4))).toThrow("since tick 5 of column 0, 0, known at 6");
  expect(() => crowded().server.say(moves(6n, 1))).toThrow("agent 1, which nobody knows");
  expect(() => crowded().server.say({ kind: "crowd", ...CROWD })).toThrow("crowd 3 came twice");
  const stranger: Frame = { kind: "agents", handle: 8, column: [0, 0], tick: 6n, agents: [] };
  expect(() => crowded().server.say(stranger)).toThrow("crowd 8 is not known");
});

test("a crowd is asked for in order with edits, again after a reconnect, and those of a lost connection have ended", () => {
  const { client, server } = crowded();
  server.say({ kind: "modes", modes: [GROUND] });
  server.heard();
  const ask = { mode: "ground", goals: [[9, 0, 0]], within: CROWD, from: { first: [0, 0, 0], end: [4, 1, 4] }, agents: 50 } as const;
  expect([client.crowd({ ...ask, mode: "crawl" }), client.crowd({ ...ask, agents: 0 }), client.crowd(ask)]).toEqual([null, null, 1n]);
  expect([client.edit(STONE), client.dismiss()]).toEqual([2n, 3n]);
  expect(server.heard()).toMatchObject([{ kind: "crowdRequest", sequence: 1n, agents: 50, speed: 64 }, { kind: "edit" }, { kind: "dismiss" }]);
  server.say({ kind: "acknowledge", sequence: 1n, tick: 7n, refusals: [] });
  client.closed();
  expect([client.pollEvent()!.kind, client.crowds.size]).toEqual(["crowdEnded", 0]);
  const second = new Script(client);
  second.start({ resumed: true, acknowledged: 1n });
  expect(second.heard().map((frame) => frame.kind)).toEqual(["hello", "edit", "dismiss"]);
});

const PLAN = {
  kind: "undoPlan", request: 1, chunks: 2, voxels: 5n, unchanged: 1n, conflicts: 2n, unknown: 0n, historyFrom: 0n, gaps: 0,
  causes: [{ cause: 1, voxels: 5n }], others: [{ cause: 1, voxels: 2n, name: "Anna" }],
} as const;
const ghostOf = (last: boolean, ...chunks: [Position, number[]][]): Frame => (
  { kind: "undoGhost", request: 1, last, more: false, tick: 9n, chunks: chunks.map(([chunk, runs]) => ({ chunk, runs: Uint16Array.from(runs) })) });
const progressOf = (state: number, looked: bigint, undo = 7n): Frame => (
  { kind: "undoProgress", request: 1, state, undo, looked, of: 5n, stayed: 0n });

/** A client that has asked for an undo. */
function asked(options: UndoOptions = {}): { client: Client; server: Script; undo: Undo; heard: UndoEvent[] } {
  const client = new Client("test");
  const server = new Script(client);
  server.start();
  server.heard();
  const heard: UndoEvent[] = [];
  const undo = client.undo(options, (event) => heard.push(event));
  return { client, server, undo, heard };
}

test("an undo is planned, its ghost comes in parts, it goes on and is done, and then it has a number", () => {
  const { server, undo, heard } = asked({ by: "Zoë", causes: ["edit", "collapse"], sinceMs: 600_000, rule: "overwrite" });
  expect(server.heard()).toEqual([{
    kind: "undoRequest", request: 1, causes: 5, overwrite: true, box: null, by: "Zoë", sinceMs: 600_000n, undo: 0n,
  }]);
  expect([undo.state, undo.start(), undo.number]).toEqual(["asking", false, null]);
  server.say(progressOf(UndoPhase.waiting, 0n, 0n));
  expect([undo.state, undo.start(), undo.number]).toEqual(["waiting", false, null]);
  server.say(PLAN, ghostOf(false, [[0, 0, 0], [0, 2, 1]]), ghostOf(true, [[0, 0, 0], [9, 1, 0]], [[1, 0, 0], [0, 2, 3]]));
  expect([undo.state, undo.plan, undo.isGhostWhole, undo.isGhostCut]).toEqual(["planned", PLAN, true, false]);
  expect([...undo.ghost.values()].map(({ chunk, runs }) => [chunk, [...runs]])).toEqual([
    [[0, 0, 0], [0, 2, 1, 9, 1, 0]], [[1, 0, 0], [0, 2, 3]],
  ]);
  expect([undo.start(), undo.start(), undo.state, undo.number]).toEqual([true, false, "going", null]);
  expect(server.heard()).toEqual([{ kind: "undoAct", request: 1, act: UndoStep.start }]);
  server.say(progressOf(UndoPhase.going, 3n));
  expect([undo.state, undo.number, undo.progress?.looked]).toEqual(["going", 7n, 3n]);
  undo.end();
  expect([undo.state, server.heard()]).toEqual(["going", [{ kind: "undoAct", request: 1, act: UndoStep.end }]]);
  server.say(progressOf(UndoPhase.done, 5n), progressOf(UndoPhase.going, 5n));
  expect([undo.state, undo.number]).toEqual(["done", 7n]);
  undo.end();
  expect(server.heard()).toEqual([]);
  expect(heard.map(({ kind }) => kind)).toEqual([
    "progress", "planned", "ghost", "ghost", "progress", "progress", "ended",
  ]);
  expect(heard[3]).toEqual({ kind: "ghost", chunks: [[0, 0, 0], [1, 0, 0]], isLast: true });
});

test("an undo that has not begun is ended at once, by itself or by another one, and what crosses that is passed over", () => {
  const { client, server, undo, heard } = asked();
  undo.end();
  undo.end();
  server.say(PLAN, ghostOf(true, [[0, 0, 0], [0, 2, 1]]));
  expect([undo.state, undo.plan, heard]).toEqual(["ended", null, [{ kind: "ended" }]]);
  const second = client.undo({ undo: 9n }, (event) => heard.push(event));
  const third = client.undo({ box: { first: [0, 0, 0], end: [1, 1, 1] } });
  expect([second.state, third.state, heard.length]).toEqual(["ended", "asking", 2]);
  expect(server.heard()).toMatchObject([
    { request: 1 }, { kind: "undoAct", request: 1, act: UndoStep.end }, { request: 2, undo: 9n },
    { request: 3, box: { first: [0, 0, 0], end: [1, 1, 1] } },
  ]);
  expect(() => client.undo({ box: { first: [0, 0, 0], end: [0, 1, 1] } })).toThrow(/the box is empty/);
  expect(third.state).toBe("asking");
});

test.each<[string, bigint, bigint, bigint | null]>([["before it began", 0n, 0n, null], ["behind a part", 2n, 7n, 7n]])(
  "an undo that was started ends when the server says so: %s", (_, looked, undoNumber, number) => {
    const { server, undo, heard } = asked();
    server.say(PLAN);
    undo.start();
    undo.end();
    expect([undo.state, heard.map(({ kind }) => kind)]).toEqual(["going", ["planned"]]);
    server.say(progressOf(UndoPhase.ended, looked, undoNumber));
    expect([undo.state, undo.number, undo.progress?.looked]).toEqual(["ended", number, looked]);
    expect(heard.map(({ kind }) => kind)).toEqual(["planned", "progress", "ended"]);
  },
);

test("an undo is ended while the server waits to plan it", () => {
  const { server, undo, heard } = asked();
  server.say(progressOf(UndoPhase.waiting, 0n, 0n));
  undo.end();
  server.say(progressOf(UndoPhase.waiting, 0n, 0n), PLAN);
  expect([undo.state, undo.plan, heard.map(({ kind }) => kind)]).toEqual(["ended", null, ["progress", "ended"]]);
});

test("an undo is refused by the server, and by the end of the connection; one that nobody has heard is asked later", () => {
  const { client, server, undo, heard } = asked({ by: "Nobody" });
  server.say({ kind: "undoRefused", request: 1, code: UndoRefusal.nobody, text: "nobody is called Nobody" });
  expect([undo.state, undo.error?.code]).toEqual(["refused", UndoRefusal.nobody]);
  expect(heard).toMatchObject([{ kind: "refused", error: { message: "nobody is called Nobody" } }]);
  const planned = client.undo({});
  server.say({ ...PLAN, request: 2 });
  const going = client.undo({});
  expect(planned.state).toBe("ended");
  server.say({ ...PLAN, request: 3 });
  going.start();
  server.say({ kind: "undoProgress", request: 3, state: UndoPhase.going, undo: 12n, looked: 1n, of: 5n, stayed: 0n });
  client.closed();
  expect([going.state, going.error?.code, going.number]).toEqual(["refused", UndoRefusal.noPlan, 12n]);
  expect(going.error?.message).toMatch(/lost while undo 12 went on/);
  const late = client.undo({ by: "late" });
  const second = new Script(client);
  second.start({ resumed: true });
  expect(second.heard().filter(({ kind }) => kind === "undoRequest")).toMatchObject([{ request: 4, by: "late" }]);
  client.closed();
  expect(late.error?.message).toMatch(/connection was lost; ask again/);
});

test("a ghost without a plan, or of more voxels than may be told, is damage", () => {
  expect(() => asked().server.say(ghostOf(true, [[0, 0, 0], [0, 1, 1]]))).toThrow(/before the plan/);
  const { server } = asked();
  const full = (y: number) => ghostOf(false, [[0, y, 0], [0, 32_768, 1]]);
  server.say(PLAN, full(0), full(1));
  expect(() => server.say(full(2))).toThrow(/more voxels/);
});
