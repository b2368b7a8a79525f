/** The client machine against a scripted server: resume, re-sent edits, version mismatch, damage. */
import {
  AT_REST, backoffMs, BACKOFF_CAP_MS, Client, Connection, encodeFrame, fallOn, FrameReader, MAGIC, OverlayKind, packVoxels,
  type BodyPart, type ClientEvent, type ConnectionState, type Frame, type Position, type Socket, type Welcome,
} from "../src/index.ts";

const WELCOME: Welcome = {
  kind: "welcome", version: 1, resumed: false, epoch: 1, session: new Uint8Array(16).fill(9),
  world: new Uint8Array(16), tick: 5n, acknowledged: 0n, tickMicroseconds: 50_000, blockCount: 2, spawn: [0, 64, 0],
};
const REGISTRY: Frame = {
  kind: "registry", firstBlock: 0,
  blocks: [{ name: "air", flags: 0, color: [0, 0, 0], light: 0 }, { name: "stone", flags: 3, color: [9, 9, 9], light: 0 }],
};
const SHAPE = { form: "radius", center: [0, 0, 0], horizontal: 1, vertical: 0 } as const;

function snapshot(chunk: Position, count: number): Frame {
  return {
    kind: "snapshot", chunk, subscription: 1, from: { epoch: 0, count: 0 }, to: { epoch: 1, count },
    ...packVoxels(new Uint16Array(32_768).fill(1)),
  };
}

function delta(from: number, ...runs: number[]): Frame {
  return {
    kind: "delta", chunk: [0, 0, 0], from: { epoch: 1, count: from }, to: { epoch: 1, count: from + 1 },
    tick: 6n, runs: Uint16Array.from(runs),
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

test("a new session after a reconnect starts afresh and says that edits were lost", () => {
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
  expect(events).toContainEqual({ kind: "chunkForgotten", position: [0, 0, 0] });
  expect(second.heard().map((frame) => frame.kind)).toEqual(["hello", "subscribe"]);
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
