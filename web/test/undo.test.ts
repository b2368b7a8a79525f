/** Taking back in the viewer: sentences, the box, and the ghost's faces. */
import {
  Chunk, chunkKey, Client, encodeFrame, MAGIC, packVoxels, UndoPhase, UndoRefusal, UndoRefusedError,
  type Frame, type Position, type UndoOptions, type UndoPlan, type UndoProgress,
} from "@terrane/client";
import { GHOST_CLASSES, GONE, padGhost, type GhostSource } from "../src/mesh/ghost.ts";
import { GhostMesher } from "../src/mesh/ghost-mesher.ts";
import { unpackQuad } from "../src/mesh/layout.ts";
import { meshChunk } from "../src/mesh/mesher.ts";
import type { MeshAnswer } from "../src/mesh/pool.ts";
import { boxOf, outlineOf, placeText } from "../src/tools/undo-box.ts";
import { CHOICES, undoPage, USUAL_WISH, wishFault, wishOptions, wishText, type UndoView } from "../src/tools/undo-words.ts";

const PLAN: UndoPlan = {
  kind: "undoPlan", request: 1, chunks: 3, voxels: 1_204n, unchanged: 0n, conflicts: 0n, unknown: 0n, historyFrom: 0n, gaps: 0,
  causes: [{ cause: 1, voxels: 1_000n }, { cause: 2, voxels: 204n }], others: [],
};
const VIEW: UndoView = { state: "asking", options: {}, plan: null, progress: null, error: null, isGhostCut: false, number: null };
const progress = (state: number, looked: bigint, more: Partial<UndoProgress> = {}): UndoProgress => (
  { kind: "undoProgress", request: 1, state, undo: 7n, looked, of: 1_204n, stayed: 0n, ...more });
const texts = (view: Partial<UndoView>) => undoPage({ ...VIEW, ...view }).lines.map(({ text }) => text);

test.each<[UndoOptions, string]>([
  [{}, "Everything"],
  [{ causes: CHOICES, sinceMs: 600_000 }, "Everything in the last 10 minutes"],
  [{ by: "Mallory", causes: ["edit", "blast", "dig"], sinceMs: 3_600_000 }, "Edits, blasts and digging by Mallory in the last hour"],
  [{ causes: ["blast"], box: { first: [0, 0, 0], end: [1, 1, 1] }, sinceMs: 86_400_000 }, "Blasts in the last day, inside the box"],
  [{ undo: 48_211n }, "What undo 48211 has taken back"],
])("what is asked, in words: %o", (options, expected) => {
  expect(wishText(options)).toBe(expected);
});

test("one can look with a cause, and with a name that may be one", () => {
  const wish = { by: "", sinceMs: 0, causes: CHOICES, overwrite: false };
  expect([wishFault(wish), wishFault({ ...wish, causes: [] }), wishFault({ ...wish, by: "ä".repeat(33) })])
    .toEqual([null, "choose at least one cause", "no name is that long"]);
});

test("a name is whose changes are meant, and a number of an undo is nothing but that undo", () => {
  const box = { first: [0, 0, 0], end: [1, 1, 1] } as const;
  const { sinceMs, causes } = USUAL_WISH;
  expect(wishOptions({ ...USUAL_WISH, by: "undo: Ann" }, box)).toEqual({ by: "undo: Ann", sinceMs, causes, box, rule: "keep" });
  expect(wishOptions({ ...USUAL_WISH, by: "undo:48211", overwrite: true }, box)).toEqual({ undo: 48_211n, rule: "overwrite" });
});

test("a plan in sentences: counts, causes, others, and what is not known", () => {
  expect(texts({ state: "planned", plan: PLAN })).toEqual([
    "1,204 voxels in 3 chunks would go back.", "Changed last: 1,000 by hand, 204 by blasts.", "Nobody else has built there since.",
  ]);
  const plan: UndoPlan = {
    ...PLAN, voxels: 1n, chunks: 1, unchanged: 2n, conflicts: 52n, unknown: 6n, historyFrom: 8_120n, gaps: 2, causes: [],
    others: [{ cause: 1, voxels: 40n, name: "Anna" }, { cause: 2, voxels: 12n, name: "actor:9" }],
  };
  const lines = [
    "1 voxel in 1 chunk would go back.", "2 voxels are as they were already.", "52 voxels that others have changed since stay as they are:",
    "Anna, 40 by hand", "actor:9, 12 by blasts", "6 voxels lie in chunks that were loaded whole since: what they were can't be known.",
    "History goes back to tick 8,120 only; what was before it stays.", "History has 2 gaps: more may have happened than is told.",
    "The view shows a part of it, around the place where most would change.",
  ];
  expect(texts({ state: "planned", plan, isGhostCut: true })).toEqual(lines);
  expect(texts({ state: "planned", plan: { ...plan, conflicts: 1n }, options: { rule: "overwrite" } })[2])
    .toBe("1 voxel that others have changed since goes back all the same:");
  expect(texts({ state: "planned", plan: { ...PLAN, voxels: 0n, chunks: 0, causes: [] } })).toEqual(["Nothing would change."]);
});

test("each state offers what can be done in it", () => {
  const pageOf = (view: Partial<UndoView>) => undoPage({ ...VIEW, plan: PLAN, ...view });
  const error = new UndoRefusedError(UndoRefusal.anotherGoesOn, "undo 6 goes on");
  const pages = [
    pageOf({ state: "asking" }), pageOf({ state: "planned" }), pageOf({ state: "planned", plan: { ...PLAN, voxels: 0n } }),
    pageOf({ state: "waiting" }), pageOf({ state: "going" }),
    pageOf({ state: "going", progress: progress(UndoPhase.going, 301n), number: 7n }),
    pageOf({ state: "done", progress: progress(UndoPhase.done, 1_204n), number: 7n }),
    pageOf({ state: "ended" }), pageOf({ state: "refused", error }),
  ];
  expect(pages.map(({ buttons, share }) => [buttons.join(" "), share])).toEqual([
    ["back", null], ["start back", null], ["back", null], ["back", null], ["stop", 0], ["stop", 0.25], ["again back", null], ["back", null], ["back", null],
  ]);
});

test("how far it is, how it ended, and why it is refused, in sentences", () => {
  expect(texts({ state: "going", plan: PLAN, progress: null })).toEqual(["0 of 1,204 voxels."]);
  expect(texts({ state: "going", progress: progress(UndoPhase.going, 301n, { stayed: 2n }), number: 7n }))
    .toEqual(["301 of 1,204 voxels.", "2 were something else by then, and stayed."]);
  expect(texts({ state: "done", progress: progress(UndoPhase.done, 1_204n, { stayed: 1n }), number: 7n })).toEqual([
    "Done: 1,203 voxels went back.", "1 was something else by then, and stayed.", "It is undo 7, and can be taken back itself.",
  ]);
  expect(texts({ state: "ended", progress: progress(UndoPhase.ended, 301n), number: 7n })).toEqual([
    "Ended after 301 of 1,204 voxels.", "What had gone back stays so. It is undo 7, and can be taken back itself.",
  ]);
  expect(texts({ state: "ended" })).toEqual(["Ended before it began: nothing has changed."]);
  const refused = (code: number, text: string) => texts({ state: "refused", error: new UndoRefusedError(code, text) });
  expect(refused(UndoRefusal.nobody, "no actor Zoë")).toEqual(["Nothing of that name or number is in history.", "No actor Zoë."]);
  expect(refused(UndoRefusal.noPlan, "The connection was lost.")).toContain("The connection was lost.");
  expect(Object.values(UndoRefusal).map((code) => refused(code, "").length)).toEqual([1, 1, 1, 1, 1, 1, 1]);
});

test("two corners are a box from bottom to top, of which a part is drawn", () => {
  const corners = { start: [5, 70, -3], goal: [-2, 66, 9] } as const;
  expect(boxOf(corners)).toEqual({ first: [-2, -2_048, -3], end: [6, 2_048, 10] });
  expect(outlineOf(corners)).toEqual({ first: [-2, 62, -3], end: [6, 90, 10] });
  expect([boxOf({ start: [5, 70, -3], goal: null }), placeText(corners)]).toEqual([null, "8 × 13 columns, from bottom to top"]);
});

const RUN_OF = (index: number, length: number, block: number) => [index, length, block];

/** Ghosts by chunk over a world that holds one block everywhere. */
function source(runs: Record<string, number[]>, everywhere: number | null = 9): GhostSource {
  const held = everywhere === null ? null : Chunk.fromSnapshot(packVoxels(new Uint16Array(32_768).fill(everywhere)));
  return {
    partAt: (chunk: Position) => {
      const found = runs[chunkKey(chunk)];
      return found === undefined ? null : { runs: Uint16Array.from(found), held };
    },
    isSeen: (block) => block !== 0,
  };
}

/** The quads of a chunk's ghost. */
function meshGhost(chunk: Position, ghosts: GhostSource): Uint32Array {
  const voxels = padGhost(chunk, ghosts);
  return voxels === null ? new Uint32Array(0) : meshChunk(voxels, GHOST_CLASSES).filled;
}

/** The area of all faces by what they are of. */
function areas(words: Uint32Array): Record<number, number> {
  const found: Record<number, number> = {};
  for (let word = 0; word < words.length; word += 2) {
    const { width, height, block } = unpackQuad(words[word]!, words[word + 1]!);
    found[block] = (found[block] ?? 0) + width * height;
  }
  return found;
}

test("a ghost has the outer faces of what comes back and of what goes", () => {
  expect(areas(meshGhost([0, 0, 0], source({ "0,0,0": RUN_OF(0, 1, 5) })))).toEqual({ 5: 6 });
  // Three in a row: two that come back, one that goes.
  expect(areas(meshGhost([0, 0, 0], source({ "0,0,0": [...RUN_OF(4, 2, 5), ...RUN_OF(6, 1, 0)] })))).toEqual({ 5: 9, [GONE]: 5 });
  // A run that goes on in the next row along z.
  expect(areas(meshGhost([0, 0, 0], source({ "0,0,0": RUN_OF(31, 2, 5) })))).toEqual({ 5: 12 });
});

test("between chunks a ghost has no faces, and none where the world is so already", () => {
  const beside = source({ "0,0,0": RUN_OF(31, 1, 5), "1,0,0": RUN_OF(0, 1, 5) });
  expect([areas(meshGhost([0, 0, 0], beside)), areas(meshGhost([1, 0, 0], beside))]).toEqual([{ 5: 5 }, { 5: 5 }]);
  expect(meshGhost([0, 0, 0], source({ "0,0,0": RUN_OF(0, 8, 9) }))).toHaveLength(0);
  expect(areas(meshGhost([0, 0, 0], source({ "0,0,0": RUN_OF(0, 1, 9) }, null)))).toEqual({ 9: 6 });
});

test("two full chunks, as many voxels as are told of, are a few faces", () => {
  const full = source({ "0,0,0": RUN_OF(0, 32_768, 5), "0,1,0": RUN_OF(0, 32_768, 5) });
  const words = meshGhost([0, 0, 0], full);
  expect(words.length / 2).toBeLessThan(300);
  expect(areas(words)).toEqual({ 5: 5 * 1_024 });
});

test("ghosts are handed to the worker as it takes them; what is not wanted any more is passed over", () => {
  const heard: [string, number][] = [];
  const tasks: { ticket: number; voxels: Uint16Array }[] = [];
  let answer: (answer: MeshAnswer) => void = () => {};
  const mesher = new GhostMesher((chunk, words) => heard.push([chunkKey(chunk), words.length / 2]), (onAnswer) => {
    answer = onAnswer;
    return {
      get hasRoom() { return tasks.length < 2; }, setClasses: () => {}, mesh: (ticket, voxels) => void tasks.push({ ticket, voxels }),
    };
  });
  const reply = () => {
    const { ticket, voxels } = tasks.shift()!;
    answer({ ticket, mesh: meshChunk(voxels, GHOST_CLASSES), mode: 0 });
  };
  const runs: Record<string, number[]> = { "0,0,0": RUN_OF(0, 1, 5), "5,0,0": RUN_OF(0, 3, 5), "9,0,0": RUN_OF(0, 1, 9) };
  ([[9, 0, 0], [0, 0, 0], [5, 0, 0], [7, 0, 0]] as const).forEach((chunk) => mesher.mark(chunk));
  mesher.pump(source(runs));
  // What is there already needs no worker, and what is no ghost neither; the worker takes two.
  expect([heard, tasks.length, mesher.waitingCount]).toEqual([[["9,0,0", 0]], 2, 3]);
  reply();
  // The other one changes while the worker has it: what it has is shown, and then what it has become.
  runs["5,0,0"] = RUN_OF(0, 1, 5);
  mesher.mark([5, 0, 0]);
  mesher.pump(source(runs));
  expect([tasks.length, mesher.waitingCount]).toEqual([1, 1]);
  reply();
  mesher.pump(source(runs));
  reply();
  expect([heard.slice(1), mesher.waitingCount]).toEqual([[["0,0,0", 6], ["7,0,0", 0], ["5,0,0", 6], ["5,0,0", 6]], 0]);
  mesher.mark([0, 0, 0]);
  mesher.pump(source(runs));
  mesher.clear();
  reply();
  expect([heard.length, mesher.waitingCount]).toEqual([5, 0]);
});

test("an undo of the client is what a page is made of", () => {
  const client = new Client("test");
  client.opened();
  const say = (...frames: Frame[]) => client.receive(0, Buffer.concat(frames.map(encodeFrame)));
  client.receive(0, MAGIC);
  say({
    kind: "welcome", version: 2, resumed: false, epoch: 1, session: new Uint8Array(16).fill(9), world: new Uint8Array(16),
    tick: 1n, acknowledged: 0n, tickMicroseconds: 50_000, blockCount: 1, spawn: [0, 0, 0], identity: 0n,
  });
  const undo = client.undo({ by: "Zoë" });
  expect(undoPage(undo).title).toBe("Everything by Zoë");
  say(PLAN);
  expect(undoPage(undo).buttons).toEqual(["start", "back"]);
  undo.start();
  expect(undoPage(undo)).toMatchObject({ share: 0, buttons: ["stop"] });
  say(progress(UndoPhase.going, 1n), progress(UndoPhase.done, 1_204n));
  expect(undoPage(undo).buttons).toEqual(["again", "back"]);
});
