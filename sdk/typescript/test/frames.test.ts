/** Frames: each survives encode and decode, in pieces of any size, and each broken rule is named. */
import {
  decodeFrame, encodeFrame, FrameReader, HEADER_BYTES, MAGIC, MAX_EDIT_VOXELS_PER_FRAME, MAX_PAYLOAD_TO_SERVER_BYTES,
  OverlayKind, ProtocolError, type Frame,
} from "../src/index.ts";

const id = Uint8Array.from({ length: 16 }, (_, index) => index * 7);
const FRAMES: readonly Frame[] = [
  { kind: "hello", lowestVersion: 1, highestVersion: 3, session: id, name: "Zoë" },
  { kind: "subscribe", subscription: 7, shape: { form: "box", first: [-2, -1, 0], end: [3, 2, 1] } },
  { kind: "subscribe", subscription: 8, shape: { form: "radius", center: [5, -3, 9], horizontal: 6, vertical: 4, margin: 2 } },
  { kind: "edit", sequence: 9n, voxels: [{ position: [-5, 70, 12], block: 513 }] },
  { kind: "ping", number: 2n ** 63n },
  {
    kind: "welcome", version: 2, resumed: true, epoch: 4, session: id, world: id, tick: 99n, acknowledged: 12n,
    tickMicroseconds: 50_000, blockCount: 2, spawn: [0, 64, -1], identity: 2n ** 64n - 1n,
  },
  {
    kind: "registry", firstBlock: 0,
    blocks: [
      { name: "air", flags: 0, color: [0, 0, 0], light: 0 },
      { name: "lamp[lit=true]", flags: 11, color: [255, 220, 90], light: 15 },
    ],
  },
  {
    kind: "snapshot", chunk: [1, 2, -3], subscription: 8, version: { epoch: 1, count: 2 },
    form: 2, table: Uint16Array.of(0, 5), voxels: new Uint8Array(16_384).fill(0x10),
  },
  {
    kind: "delta", tick: 2n ** 64n - 1n,
    chunks: [
      {
        chunk: [1, 2, -3], from: { epoch: 1, count: 2 }, to: { epoch: 1, count: 3 },
        runs: Uint16Array.of(0, 4, 1, 62, 5, 7, 32_767, 1, 0),
      },
      { chunk: [-33_554_432, -64, 33_554_431], from: { epoch: 4e9, count: 2 }, to: { epoch: 7, count: 4e9 }, runs: new Uint16Array(0) },
      { chunk: [1, 2, -3], from: { epoch: 1, count: 3 }, to: { epoch: 1, count: 9 }, runs: Uint16Array.of(31, 1, 65_535) },
    ],
  },
  { kind: "delta", tick: 0n, chunks: [] },
  { kind: "same", subscription: 9, chunks: [[1, 2, -3], [-33_554_432, -64, 33_554_431]] },
  { kind: "look", eye: [-5, 70, 12], forward: [-128, 127, 0] },
  { kind: "holds", chunks: [{ chunk: [1, 2, -3], version: { epoch: 4e9, count: 2 } }] },
  { kind: "forget", chunk: [1, 2, -3], subscription: 9 },
  { kind: "acknowledge", sequence: 9n, tick: 101n, refusals: [{ sequence: 8n, reason: 2 }] },
  { kind: "pong", number: 1n, tick: 101n },
  { kind: "caughtUp", subscription: 9 },
  { kind: "blast", sequence: 10n, position: [1, -70, 3], power: 64 },
  { kind: "overlay", kinds: 1 },
  { kind: "overlay", kinds: 1 << OverlayKind.light | 1 << OverlayKind.support },
  {
    kind: "body", handle: 7, tick: 9n, origin: [4, 5, 6], corner: [3, 5, 6], part: 0, parts: 1, voxels: 3,
    runs: [{ first: [1, 0, 0], length: 1, block: 5 }, { first: [0, 1, 0], length: 2, block: 6 }],
  },
  { kind: "bodyMoves", tick: 12n, moves: [{ handle: 7, fallen: 256, velocity: 0, phase: 1 }] },
  { kind: "bodyEnds", handles: [7] },
  {
    kind: "overlayData", chunk: [1, 2, -3], overlay: 0, version: { epoch: 1, count: 2 },
    values: Uint8Array.from({ length: 32_768 }, (_, index) => index % 11),
  },
  { kind: "overlayData", chunk: [1, 2, -3], overlay: 0, version: { epoch: 1, count: 2 }, values: null },
  {
    kind: "overlayData", chunk: [1, 2, -3], overlay: OverlayKind.light, version: { epoch: 1, count: 2 },
    values: Uint8Array.from({ length: 32_768 }, (_, index) => (index < 1_024 ? 0x0e : 0xf0)),
  },
  { kind: "pathRequest", request: 7, wanted: 1, around: 128, mode: "ground", from: [1, 2, 3], to: [-4, 2, 9] },
  { kind: "fieldRequest", request: 8, mode: "fly", goals: [[1, 2, 3], [4, 5, 6]], first: [-9, 0, -9], end: [9, 9, 9] },
  { kind: "cancel", request: 7 },
  {
    kind: "modes",
    modes: [{ name: "spider", medium: 0, diagonal: false, swim: true, climb: true, height: 1, width: 2, stepUp: 4, drop: 3 }],
  },
  {
    kind: "pathAnswer", request: 7, part: 0, last: true, end: 0, cost: 120n, searched: 900n, tick: 77n,
    waypoints: [[1, 2, 3], [-4, 2, 9]],
  },
  {
    kind: "fieldChunk", request: 8, chunk: [1, 2, -3], tick: 78n,
    moves: Uint8Array.from({ length: 32_768 }, (_, index) => (index % 4 === 0 ? 255 : index % 3)),
    costs: Uint32Array.from({ length: 24_576 }, (_, index) => 70_000 + index * 3),
  },
  { kind: "fieldState", request: 8, current: true, tick: 78n, chunks: 12 },
  { kind: "pathRefused", request: 9, code: 4, text: "stone is in the way" },
  { kind: "undoRequest", request: 5, causes: 0, overwrite: false, box: null, by: "", sinceMs: 0n, undo: 2n ** 63n },
  {
    kind: "undoRequest", request: 6, causes: 13, overwrite: true, box: { first: [-9, -2_048, -9], end: [9, 2_048, 9] }, by: "Zoë",
    sinceMs: 600_000n, undo: 0n,
  },
  { kind: "undoAct", request: 6, act: 1 },
  {
    kind: "undoPlan", request: 6, chunks: 3, voxels: 2n ** 33n, unchanged: 4n, conflicts: 5n, unknown: 6n, historyFrom: 7n, gaps: 8,
    causes: [{ cause: 1, voxels: 8n }, { cause: 7, voxels: 9n }], others: [{ cause: 2, voxels: 5n, name: "Zoë" }],
  },
  {
    kind: "undoGhost", request: 6, last: true, more: false, tick: 2n ** 60n,
    chunks: [{ chunk: [1, 2, -3], runs: Uint16Array.of(0, 4, 1, 62, 5, 0) }, { chunk: [1, 3, -3], runs: Uint16Array.of(31, 1, 65_535) }],
  },
  { kind: "undoProgress", request: 6, state: 1, undo: 48_211n, looked: 8n, of: 9n, stayed: 2n },
  { kind: "undoRefused", request: 6, code: 4, text: "another undo goes on" },
  { kind: "refused", code: 8, text: "sequence 5 came after 3" },
];

test.each(FRAMES)("$kind survives encode and decode", (frame) => {
  expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
});

test.each([1, 3, 4_097])("a stream in pieces of %i bytes gives the same frames", (pieceBytes) => {
  const serverFrames = FRAMES.filter((frame) => encodeFrame(frame)[5] === 0x80);
  const stream = Buffer.concat([MAGIC, ...serverFrames.map(encodeFrame)]);
  const reader = new FrameReader("server");
  const frames: Frame[] = [];
  for (let at = 0; at < stream.length; at += pieceBytes) {
    frames.push(...reader.push(stream.subarray(at, at + pieceBytes)));
  }
  expect(frames).toEqual(serverFrames);
  expect(reader.pendingBytes).toBe(0);
});

/** A good frame with some payload or header bytes overwritten. */
function spoiled(kind: Frame["kind"], offset: number, ...bytes: number[]): Uint8Array {
  const frame = encodeFrame(FRAMES.find((candidate) => candidate.kind === kind)!);
  frame.set(bytes, offset);
  return frame;
}

const BROKEN: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ["flags", spoiled("ping", 6, 1), /flags 1 must be 0/],
  ["unknown kind", spoiled("ping", 4, 0x55), /kind 0x0055/],
  ["too long", spoiled("pong", 0, 0, 0, 0x20), /at most 1048576/],
  ["reserved bytes", spoiled("edit", 8 + 12, 1), /reserved bytes must be 0/],
  ["empty box", spoiled("subscribe", 8 + 20, 0xfd, 0xff, 0xff, 0xff), /the box is empty/],
  ["outer stage", spoiled("snapshot", 8 + 24, 9), /outer stage 9/],
  ["a chunk's layout", spoiled("snapshot", 8 + 25, 9), /layout 9/],
  ["a chunk's table", spoiled("snapshot", 8 + 26, 16), /table of 17 blocks/],
  ["a number beyond the table", spoiled("snapshot", 8 + 31, 0x70), /number 7 in a table of 2/],
  ["a length that can't be", spoiled("snapshot", 8 + 24, 0x11, 0xff, 0xff, 0xff, 0x7f), /of which 65552 are allowed/],
  ["no zstd", spoiled("snapshot", 8 + 24, 0x11, 5, 1, 2, 3), /zstd/],
  ["a layout of changes", spoiled("delta", 8 + 1, 0x21), /layout 33/],
  ["a look with something behind it", spoiled("look", 8 + 15, 1), /reserved bytes must be 0/],
  ["too many chunks held", spoiled("holds", 8, 0xff, 0xff), /65535 chunks, at most 3277/],
  ["too many chunks that are the same", spoiled("same", 8 + 4, 0xff, 0xff), /65535 chunks, at most 1024/],
  ["chunk position", spoiled("forget", 8 + 4, 100), /outside the world/],
  ["light", spoiled("registry", 8 + 12, 16), /light 16/],
  ["a body's part", spoiled("body", 8 + 36, 1), /part 1 of 1/],
  ["a body's run order", spoiled("body", 8 + 56, 0), /run 1 of 2 at 0, 0, 0/],
  ["a body's width", spoiled("body", 8 + 52, 64), /run 0 of 64/],
  ["a body's voxels", spoiled("body", 8 + 40, 2), /3 voxels in the runs/],
  ["a body's phase", spoiled("bodyMoves", 8 + 26, 3), /in phase 3/],
  ["no bodies", spoiled("bodyEnds", 8, 0), /0 bodies/],
  ["an overlay that means nothing", spoiled("overlay", 8, 0x80), /a bit that means nothing/],
  ["an overlay beyond the last", spoiled("overlay", 8, 4), /overlays 100 hold a bit that means nothing/],
  ["an overlay's kind", spoiled("overlayData", 8 + 12, 9), /unknown kind of overlay 9/],
  ["an overlay's form", spoiled("overlayData", 8 + 14, 9), /form 9/],
  ["an overlay's index", spoiled("overlayData", 8 + 24, 10), /index 10 in a table of 10/],
  ["what is asked of a way", spoiled("pathRequest", 8 + 4, 2), /2 is nothing that can be asked/],
  ["a mode's name", spoiled("pathRequest", 8 + 5, 33), /name of 33 bytes/],
  ["goals", spoiled("fieldRequest", 8 + 5, 0), /0 goals/],
  ["a mode", spoiled("modes", 8 + 8, 4), /medium 4/],
  ["a way's end", spoiled("pathAnswer", 8 + 7, 4), /ends as 4/],
  ["a last part", spoiled("pathAnswer", 8 + 6, 2), /must be 0 or 1/],
  ["a waypoint", spoiled("pathAnswer", 8 + 44, 0, 8), /outside the world/],
  ["a field's form", spoiled("fieldChunk", 8 + 24, 0), /for form 0/],
  ["a field's move", spoiled("fieldChunk", 8 + 40, 26), /26 is no move/],
  ["a field's costs", spoiled("fieldChunk", 8 + 25, 3), /costs of 3 bytes/],
  ["a field's state", spoiled("fieldState", 8 + 4, 2), /must be 0 or 1/],
  ["a refused request's reason", spoiled("pathRefused", 8 + 4, 12), /reason 12/],
  ["causes that mean nothing", spoiled("undoRequest", 8 + 4, 32), /causes 100000 hold a bit that means nothing/],
  ["an undo's rule", spoiled("undoRequest", 8 + 5, 2), /the rule for what others have built 2 must be 0 or 1/],
  ["an undo's box that is none", spoiled("undoRequest", 8 + 24, 1), /reserved bytes must be 0/],
  ["an undo's empty box", spoiled("undoRequest", 8 + 6, 1), /the box is empty/],
  ["an undo's name", spoiled("undoRequest", 8 + 7, 65), /a name of 65 bytes, at most 64/],
  ["what is done with an undo", spoiled("undoAct", 8 + 4, 2), /2 is nothing that can be done/],
  ["a plan's causes", spoiled("undoPlan", 8 + 48, 8), /8 causes and 1 others, at most 7 and 32/],
  ["a plan's others", spoiled("undoPlan", 8 + 50, 33), /2 causes and 33 others/],
  ["a cause of nothing", spoiled("undoPlan", 8 + 56, 8), /8 is the cause of nothing/],
  ["a ghost's mark of its end", spoiled("undoGhost", 8 + 4, 2), /whether no more follow 2 must be 0 or 1/],
  ["a ghost's outer stage", spoiled("undoGhost", 8 + 8, 9), /outer stage 9/],
  ["an undo's state", spoiled("undoProgress", 8 + 4, 4), /in state 4/],
  ["an undo's progress", spoiled("undoProgress", 8 + 16, 10), /10 voxels looked at of 9, 2 of which stayed/],
  ["a refused undo's reason", spoiled("undoRefused", 8 + 4, 8), /reason 8/],
  ["UTF-8", spoiled("refused", 8 + 8, 0xff), /not UTF-8/],
];

test.each(BROKEN)("%s is refused by name", (_, bytes, message) => {
  const attempt = () => decodeFrame(bytes);
  expect(attempt).toThrow(ProtocolError);
  expect(attempt).toThrow(message);
});

test("every truncation of every frame is an error or incomplete, never a crash", () => {
  for (const frame of FRAMES) {
    const bytes = encodeFrame(frame);
    const step = Math.max(1, bytes.length >> 6);
    for (let length = 0; length < bytes.length; length += step) {
      expect(() => decodeFrame(bytes.subarray(0, length))).toThrow(ProtocolError);
    }
  }
});

test("a wrong magic is refused", () => {
  expect(() => new FrameReader("server").push(Buffer.from("HTTP"))).toThrow(/TRNE/);
});

test("an edit that does not fit into a frame is not encoded", () => {
  const voxels = Array.from({ length: MAX_EDIT_VOXELS_PER_FRAME }, () => ({ position: [0, 0, 0], block: 1 }) as const);
  expect(encodeFrame({ kind: "edit", sequence: 1n, voxels }).length).toBe(HEADER_BYTES + MAX_PAYLOAD_TO_SERVER_BYTES);
  expect(() => encodeFrame({ kind: "edit", sequence: 1n, voxels: [...voxels, voxels[0]!] })).toThrow(ProtocolError);
});

test("an undo with a box beyond the world, or without a voxel in it, is not encoded", () => {
  const ask = { kind: "undoRequest", request: 1, causes: 0, overwrite: false, by: "", sinceMs: 0n, undo: 0n } as const;
  expect(() => encodeFrame({ ...ask, box: { first: [0, 0, 0], end: [1, 2_049, 1] } })).toThrow(/outside the world/);
  expect(() => encodeFrame({ ...ask, box: { first: [0, 0, 0], end: [1, 0, 1] } })).toThrow(/empty/);
  expect(() => encodeFrame({ ...ask, box: null, by: "ä".repeat(33) })).toThrow(/66 bytes/);
});

test("a ghost of more voxels than may be told, and one with versions, are refused", () => {
  const full = (y: number) => ({ chunk: [0, y, 0], runs: Uint16Array.of(0, 32_768, 1) }) as const;
  const ghost = { kind: "undoGhost", request: 1, last: true, more: false, tick: 4n } as const;
  expect(decodeFrame(encodeFrame({ ...ghost, chunks: [full(0), full(1)] }))).toEqual({ ...ghost, chunks: [full(0), full(1)] });
  expect(() => decodeFrame(encodeFrame({ ...ghost, chunks: [full(0), full(1), full(2)] }))).toThrow(/98304 voxels/);
  const delta = encodeFrame({
    kind: "delta", tick: 0n, chunks: [{ ...full(0), from: { epoch: 1, count: 1 }, to: { epoch: 1, count: 2 } }],
  });
  const bytes = Uint8Array.from([...delta.subarray(0, 8), 1, 0, 0, 0, 1, 0, 0, 0, ...delta.subarray(8)]);
  new DataView(bytes.buffer).setUint32(0, bytes.length - 8, true);
  bytes.set([0x18, 0x80], 4);
  expect(() => decodeFrame(bytes)).toThrow(/no version/);
});
