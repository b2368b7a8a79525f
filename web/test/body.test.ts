/** Bodies: their meshes, and how they fall between the server's words. */
import { Client, encodeFrame, MAGIC, packVoxels, type BodyRun, type Frame } from "@terrane/client";
import { meshBody } from "../src/mesh/body.ts";
import { DrawClass, unpackQuad } from "../src/mesh/layout.ts";
import type { BodyScene } from "../src/render/body-scene.ts";
import { BodyView, type BodySurrounding } from "../src/world/body-view.ts";

const CLASSES = Uint8Array.of(DrawClass.nothing, DrawClass.filled, DrawClass.plant);

/** Area of all faces of a body's mesh. */
function area(runs: readonly BodyRun[], classes = CLASSES): number {
  let sum = 0;
  for (const { mesh } of meshBody(runs, classes)) {
    for (let word = 0; word < mesh.filled.length; word += 2) {
      const { width, height } = unpackQuad(mesh.filled[word]!, mesh.filled[word + 1]!);
      sum += width * height;
    }
  }
  return sum;
}

test("a small body and a large one have the faces of their shape and none inside", () => {
  expect(area([{ first: [0, 0, 0], length: 1, block: 1 }])).toBe(6);
  expect(area([{ first: [5, 0, 0], length: 4, block: 1 }, { first: [5, 1, 0], length: 4, block: 1 }])).toBe(2 * 8 + 2 * 4 + 4);
  // 40 × 40 × 40, over the sides of cells.
  const cube = Array.from({ length: 1_600 }, (_, row): BodyRun => ({ first: [0, row % 40, Math.floor(row / 40)], length: 40, block: 1 }));
  expect(area(cube)).toBe(6 * 1_600);
  expect(area([{ first: [0, 0, 0], length: 1, block: 2 }])).toBe(4);
});

/** A client with stone below y = 0 in one chunk, and what its bodies are told to do. */
function stage() {
  const client = new Client("test");
  const moves: number[] = [];
  const lights: (number | null)[] = [];
  const removed: number[] = [];
  const scene = {
    add: () => {},
    move: (_: number, drop: number, light: number | null) => {
      moves.push(drop);
      lights.push(light);
    }, remove: (handle: number) => removed.push(handle),
  } as unknown as BodyScene;
  let isStale = true;
  const around: BodySurrounding = {
    drawClasses: CLASSES, isSolid: (_x, y) => y < 0, isStale: () => isStale, lightAt: (_x, y, _z) => (y > 3 ? { sky: y, block: 0 } : y === 3 ? { sky: 1, block: 2 } : null),
  };
  const view = new BodyView(client, scene, around);
  const say = (nowMs: number, ...frames: Frame[]) => {
    client.receive(nowMs, Buffer.concat(frames.map(encodeFrame)));
    for (let event = client.pollEvent(); event !== null; event = client.pollEvent()) {
      switch (event.kind) {
        case "bodyBegan": view.began(event.body); break;
        case "bodyMoved": view.moved(event.body); break;
        case "bodyEnded": view.ended(event.body, nowMs);
      }
    }
  };
  client.opened();
  client.receive(0, MAGIC);
  say(0, {
    kind: "welcome", version: 2, resumed: false, epoch: 1, session: new Uint8Array(16).fill(9), world: new Uint8Array(16),
    tick: 100n, acknowledged: 0n, tickMicroseconds: 50_000, blockCount: 3, spawn: [0, 64, 0], identity: 0n,
  }, {
    kind: "snapshot", chunk: [0, 0, 0], subscription: 1, version: { epoch: 1, count: 1 },
    ...packVoxels(new Uint16Array(32_768)),
  });
  return { view, say, moves, lights, removed, drawn: () => { isStale = false; } };
}

test("a body moves between ticks, stops above the ground by itself, and stays until the ground is drawn anew", () => {
  const { view, say, moves, lights, removed, drawn } = stage();
  const body: Frame = {
    kind: "body", handle: 7, tick: 101n, origin: [4, 3, 4], corner: [4, 3, 4], part: 0, parts: 1, voxels: 1,
    runs: [{ first: [0, 0, 0], length: 1, block: 1 }],
  };
  say(50, body);
  for (let nowMs = 50; nowMs <= 2_000; nowMs += 5) {
    view.update(nowMs);
  }
  // 10, 30, 60 parts of 256 after one, two and three ticks, and half way between them.
  expect([moves[0], moves[5], moves[10], moves[15], moves[20], moves[30]].map((drop) => drop! * 256)).toEqual([0, 5, 10, 20, 30, 60]);
  expect(moves.every((drop, at) => at === 0 || drop >= moves[at - 1]!), "it never goes up").toBe(true);
  expect(moves.at(-1)).toBe(3);
  expect([lights[0], lights.at(-1)], "the best light beside it, and none where none is known").toEqual([0x42, null]);
  expect(view.counts).toEqual({ falling: 1, seen: 1, drawnFalling: 1 });
  say(2_000, { kind: "bodyMoves", tick: 118n, moves: [{ handle: 7, fallen: 768, velocity: 0, phase: 1 }] });
  say(2_050, { kind: "bodyEnds", handles: [7] });
  view.update(2_060);
  expect([removed, moves.at(-1), view.isSettled]).toEqual([[], 3, false]);
  drawn();
  view.update(2_070);
  expect([removed, view.isSettled]).toEqual([[7], true]);
});

test("a move that was not to be expected is followed at once", () => {
  const { view, say, moves } = stage();
  say(50, {
    kind: "body", handle: 7, tick: 101n, origin: [4, 30, 4], corner: [4, 30, 4], part: 0, parts: 1, voxels: 1,
    runs: [{ first: [0, 0, 0], length: 1, block: 1 }],
  });
  say(300, { kind: "bodyMoves", tick: 106n, moves: [{ handle: 7, fallen: 2_560, velocity: 1_024, phase: 0 }] });
  view.update(300);
  view.update(325);
  expect(moves).toEqual([10, 12]);
});
