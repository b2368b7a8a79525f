/** Tools: what a click on a block means, the ends of a way step by step, the box of a field, which tool is in hand. */
import { BlockFlag, MAX_FIELD_CHUNKS, PathRefusedError, type Position, type Way } from "@terrane/client";
import { chunksOf, fieldBox } from "../src/tools/field-box.ts";
import { NO_ENDS, standingVoxel, withClick } from "../src/tools/picking.ts";
import { ToolBox } from "../src/tools/tool-box.ts";
import type { Tool } from "../src/tools/tool.ts";
import { MOST_OPEN, outcomeText, WayQuestions } from "../src/tools/way-questions.ts";

/** A floor up to y = 9, a wall for x ≥ 5, a lake of depth 3 for x < −5, a plant at (1, 10, 0). */
function flagsAt(x: number, y: number, z: number): number {
  const floor = x < -5 ? 6 : 9;
  const isSolid = y <= floor || (x >= 5 && y < 30);
  return isSolid ? BlockFlag.solid : x < -5 && y <= 9 ? BlockFlag.liquid : x === 1 && y === 10 && z === 0 ? BlockFlag.picker : 0;
}

test.each<[string, Position, Position, Position]>([
  ["the floor: above it", [0, 9, 0], [0, 1, 0], [0, 10, 0]],
  ["a plant: in it", [1, 10, 0], [0, 0, 1], [1, 10, 0]],
  ["a wall near the floor: the floor before it", [5, 12, 0], [-1, 0, 0], [4, 10, 0]],
  ["a wall high up: where it is clicked", [5, 20, 0], [-1, 0, 0], [4, 20, 0]],
  ["the bottom of a lake: its surface", [-9, 6, 0], [0, 1, 0], [-9, 9, 0]],
  ["from within a block: the block", [0, 5, 0], [0, 0, 0], [0, 5, 0]],
])("a click on %s", (_, voxel, normal, expected) => {
  expect(standingVoxel({ voxel, normal }, flagsAt)).toEqual(expected);
});

test("clicks set the start, then the goal, then begin anew", () => {
  const [a, b, c]: [Position, Position, Position] = [[1, 2, 3], [4, 5, 6], [7, 8, 9]];
  const one = withClick(NO_ENDS, a);
  const two = withClick(one, b);
  expect([one, two, withClick(two, c)]).toEqual([{ start: a, goal: null }, { start: a, goal: b }, { start: c, goal: null }]);
});

test("what came of a question, in words", () => {
  const way = (end: Way["end"]): Way => ({ end, cost: 120n, searched: 9n, tick: 7n, waypoints: [] });
  const words = (["goal", "border", "unreachable", "tooFar"] as const).map((end) => outcomeText({ kind: "answered", way: way(end) }));
  expect(words).toEqual(["cost 120", "no way inside the box; 120 to its border", "no way", "too far"]);
  expect([outcomeText({ kind: "waiting" }), outcomeText({ kind: "failed", text: "no such mode" })]).toEqual(["…", "no such mode"]);
});

test("so many questions are open at a time, refusals are told, and what is called off is heard of no more", async () => {
  const open: { mode: string; signal: AbortSignal; answer: (way: Way) => void; refuse: (error: Error) => void }[] = [];
  const heard: number[] = [];
  const modes = Array.from({ length: MOST_OPEN + 3 }, (_, place) => `mode-${place}`);
  const questions = new WayQuestions(
    modes, (mode, signal) => new Promise((answer, refuse) => open.push({ mode, signal, answer, refuse })), (place) => heard.push(place),
  );
  const rest = () => new Promise((resolve) => setTimeout(resolve));
  const way: Way = { end: "goal", cost: 5n, searched: 1n, tick: 1n, waypoints: [] };
  expect(open.map(({ mode }) => mode)).toEqual(modes.slice(0, MOST_OPEN));
  open[2]!.answer(way);
  open[4]!.refuse(new PathRefusedError(3, "it can't be there"));
  await rest();
  expect(open.length).toBe(MOST_OPEN + 2);
  expect(questions.outcomes.slice(1, 6).map(outcomeText)).toEqual(["…", "cost 5", "…", "it can't be there", "…"]);
  questions.callOff();
  open[0]!.answer(way);
  open[1]!.refuse(new PathRefusedError(11, "called off"));
  await rest();
  expect([open.every(({ signal }) => signal.aborted), open.length, heard]).toEqual([true, MOST_OPEN + 2, [2]]);
  expect(questions.outcomes.slice(0, 2).map(outcomeText)).toEqual(["…", "…"]);
});

test("the box of a field holds the goal and the player, within what may be asked", () => {
  const near = fieldBox([0, 70, 0], [100.5, 90.2, -3.5]);
  expect(near).toEqual({ first: [-48, 46, -52], end: [149, 115, 49] });
  expect(chunksOf(near)).toBeLessThanOrEqual(MAX_FIELD_CHUNKS);
  const far = fieldBox([0, 70, 0], [9_000, 70, 0]);
  expect(far).toEqual({ first: [-48, 46, -48], end: [49, 95, 49] });
  expect(chunksOf({ first: [-1, 0, 31], end: [1, 32, 33] })).toBe(4);
  expect(fieldBox([0, 2_040, 0], [0, 2_040, 0]).end[1]).toBe(2_048);
});

test("one tool is in hand at a time, and a click without one digs", () => {
  const heard: string[] = [];
  const tool = (name: string, more: Partial<Tool> = {}): Tool => ({
    name, letter: "?", help: "", label: () => name, click: () => heard.push(`click ${name}`), ...more,
  });
  const [bomb, ways] = [tool("bomb", { step: () => true }), tool("ways", { reach: 99, clear: () => heard.push("clear") })];
  const box = new ToolBox([bomb, ways]);
  const hit = { voxel: [0, 0, 0], normal: [0, 1, 0] } as const;
  expect([box.click(hit, false), box.clear(), box.step(1), box.reach]).toEqual([false, false, false, null]);
  box.toggle("bomb");
  expect([box.click(hit, false), box.click(hit, true), box.click(null, false), box.clear(), box.step(1)]).toEqual([true, true, true, false, true]);
  box.toggle("ways");
  expect([box.isInHand(bomb), box.isInHand(ways), box.reach, box.clear(), box.step(1)]).toEqual([false, true, 99, true, false]);
  box.toggle("ways");
  expect(box.click(hit, false)).toBe(false);
  expect(heard).toEqual(["click bomb", "clear"]);
});
