/** The TypeScript client against the real server, without a browser: ways, refusals, and a field that follows an edit. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { WebSocket } from "ws";
import {
  Client, Connection, PathRefusal, REAL_SURROUNDINGS, type ClientEvent, type Position, type Socket,
} from "@terrane/client";

const BINARY = process.env["TERRANE_BIN"];
const [FROM, TO]: [Position, Position] = [[0, 1, -5], [0, 1, 5]];
const BOX = { first: [-40, 0, -40], end: [41, 16, 41] } as const;

let folder: string;
let server: ChildProcess;
let address: string;

/** A floor in the air, a wall across it, and a server. */
async function serveWall(): Promise<void> {
  folder = mkdtempSync(join(tmpdir(), "terrane-paths-"));
  const world = join(folder, "world");
  execFileSync(BINARY!, ["new", "--world", world, "--generator", "void", "--physics", "off"]);
  execFileSync(BINARY!, ["edit", "--world", world, "--fill", "-40,0,-40:41,1,41=stone", "--fill", "-40,1,0:30,5,1=dirt"]);
  server = spawn(BINARY!, ["--json", "serve", "--world", world, "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise<string>((resolve) => createInterface(server.stdout!).once("line", resolve));
  address = `${(JSON.parse(line) as { url: string }).url.replace("http", "ws")}ws`;
}

interface Connected {
  readonly client: Client;
  readonly connection: Connection;
  /** Resolves at the next event of a kind. */
  next(kind: ClientEvent["kind"]): Promise<void>;
}

function connect(): Connected {
  const waiting: { kind: string; resolve: () => void }[] = [];
  const client = new Client("paths");
  const openSocket = (url: string) => new WebSocket(url) as unknown as Socket;
  const onEvent = (event: ClientEvent) => {
    const heard = waiting.filter(({ kind }) => kind === event.kind);
    heard.forEach((entry) => {
      waiting.splice(waiting.indexOf(entry), 1);
      entry.resolve();
    });
  };
  const connection = new Connection(address, client, onEvent, () => {}, { ...REAL_SURROUNDINGS, openSocket });
  connection.open();
  return { client, connection, next: (kind) => new Promise((resolve) => waiting.push({ kind, resolve })) };
}

/** Sends what was asked for, and waits for the answer. */
function asked<T>({ connection }: Connected, answer: Promise<T>): Promise<T> {
  connection.flush();
  return answer;
}

describe.skipIf(BINARY === undefined)("questions about paths", () => {
  beforeAll(serveWall);
  afterAll(() => {
    server.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  test("ways, whether there is one, and refusals", async () => {
    const here = connect();
    await here.next("registry");
    const way = await asked(here, here.client.path(FROM, TO));
    expect(here.client.modes.map((mode) => mode.name)).toEqual(["fly", "ground", "tunnel"]);
    expect([way.end, way.waypoints[0], way.waypoints.at(-1)]).toEqual(["goal", FROM, TO]);
    const over = await asked(here, here.client.path(FROM, TO, { mode: "fly" }));
    expect(over.cost).toBeLessThan(way.cost);
    expect((await asked(here, here.client.reachable(FROM, TO))).end).toBe("goal");
    const refusals: [Promise<unknown>, number][] = [
      [here.client.path(FROM, TO, { mode: "crawl" }), PathRefusal.mode],
      [here.client.path([0, 0, -5], TO), PathRefusal.startBlocked],
      [here.client.reachable(FROM, [0, 0, 5]), PathRefusal.goalBlocked],
      [here.client.path(FROM, [0, 9_000, 5]), PathRefusal.outsideWorld],
      [here.client.path(FROM, [90_000, 1, 5], { mode: "fly" }), PathRefusal.tooFar],
    ];
    here.connection.flush();
    for (const [answer, code] of refusals) {
      await expect(answer).rejects.toMatchObject({ code });
    }
    here.connection.close();
  });

  test("a field leads to its goal, and round a wall that is new", async () => {
    const here = connect();
    await here.next("registry");
    let isCurrent: () => void = () => {};
    const current = () => new Promise<void>((resolve) => {
      isCurrent = resolve;
    });
    const states: boolean[] = [];
    let known = current();
    const field = here.client.field([TO], "ground", BOX, (event) => {
      if (event.kind === "state") {
        states.push(event.current);
        if (event.current) {
          isCurrent();
        }
      }
    });
    here.connection.flush();
    await known;
    const around = field.costAt(FROM)!;
    known = current();
    here.client.edit([{ position: [0, 1, 0], block: 0 }, { position: [0, 2, 0], block: 0 }]);
    here.connection.flush();
    await known;
    expect(states).toEqual([true, false, true]);
    expect(field.costAt(FROM)).toBe(20);
    expect(around).toBeGreaterThan(100);
    let at: Position = FROM;
    for (let step = 0; step < 10; step += 1) {
      at = field.next(at)!;
    }
    expect([at, field.next(at), field.costAt([0, 0, 0])]).toEqual([TO, null, null]);
    field.cancel();
    here.connection.close();
  });

  test("a crowd streams round the wall, and through it once it is dug through", async () => {
    const here = connect();
    await here.next("registry");
    const fill = (name: string) => {
      const block = here.client.registry.findIndex((known) => known.name === name);
      here.client.edit([{ position: [0, 1, 0], block }, { position: [0, 2, 0], block }]);
    };
    fill("dirt");
    here.client.subscribe({ form: "box", first: [-2, 0, -2], end: [2, 1, 2] });
    here.connection.flush();
    await here.next("caughtUp");
    const refused = here.client.crowd({
      mode: "ground", goals: [[0, 0, 0]], within: BOX, from: { first: [-36, 1, -36], end: [-10, 2, -8] }, agents: 400, speed: 256,
    });
    const sequence = here.client.crowd({
      mode: "ground", goals: [TO], within: BOX, from: { first: [-36, 1, -36], end: [-10, 2, -8] }, agents: 400, speed: 256,
    });
    here.connection.flush();
    await here.next("crowdBegan");
    const [crowd] = here.client.crowds.values();
    expect([crowd!.sequence, crowd!.mode, sequence! - refused!]).toEqual([sequence, "ground", 1n]);
    /** Resolves when an agent is in the plane of the wall, with its x. */
    const crossing = async (isWanted: (x: number) => boolean): Promise<number> => {
      for (;;) {
        await here.next("crowdMoved");
        const there = [...crowd!.agents()].find(({ position: [x, , z] }) => z === 0 && isWanted(x));
        if (there !== undefined) {
          return there.position[0];
        }
      }
    };
    expect(await crossing(() => true)).toBeGreaterThanOrEqual(30);
    expect(crowd!.count).toBeGreaterThan(300);
    fill("air");
    here.connection.flush();
    expect(await crossing((x) => x < 30)).toBe(0);
    await here.next("crowdEnded");
    expect(here.client.crowds.size).toBe(0);
    here.connection.close();
  });
});
