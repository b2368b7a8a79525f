/** Agents between the server's words. */
import { EXITS, HeldCrowd, type Position } from "@terrane/client";
import { AgentMotion, followed, placeAt, standing } from "../src/world/agent-motion.ts";

const EAST = EXITS.findIndex((step) => step.join() === "1,0,0");
const UP = EXITS.findIndex((step) => step.join() === "0,1,0");

test("an agent slides to its next voxel in the time that its last step took, and looks where it goes", () => {
  const first = followed(undefined, 0, [4, 5, 6], null, 1_000);
  expect(placeAt(first, 1_000)).toEqual(standing([4, 5, 6], 0));
  expect(followed(first, 0, [4, 5, 6], null, 1_100)).toBe(first);
  const second = followed(first, 0, [5, 5, 6], EAST, 1_400);
  expect(placeAt(second, 1_400)).toEqual(standing([4, 5, 6], 0));
  expect(placeAt(second, 1_600)[0]).toBeCloseTo(standing([4, 5, 6], 0)[0] + 0.5);
  expect(placeAt(second, 9_000)).toEqual(standing([5, 5, 6], 0));
  expect(second.yaw).toBeCloseTo(Math.PI / 2);
  expect(followed(second, 0, [5, 6, 6], UP, 1_800).yaw).toBeCloseTo(Math.PI / 2);
});

test("who has not been seen for long is where the server says, and never slides through the world", () => {
  const agent = followed(undefined, 3, [0, 0, 0], null, 0);
  expect(placeAt(followed(agent, 3, [40, 0, 0], EAST, 10), 10)).toEqual(standing([40, 0, 0], 3));
});

test("four in one voxel stand apart and inside it", () => {
  const places = [0, 1, 2, 3].map((number) => standing([7, 1, -2], number));
  expect(new Set(places.map(String)).size).toBe(4);
  places.forEach(([x, , z]) => expect([Math.floor(x), Math.floor(z)]).toEqual([7, -2]));
});

test("whoever is gone is drawn no more, and who crosses into another column goes on", () => {
  const info = { kind: "crowd", handle: 1, sequence: 0n, mode: "fly", speed: 9, goals: [[0, 0, 0]], first: [0, 0, 0], end: [256, 9, 9] } as const;
  const crowd = new HeldCrowd(info);
  const told = (column: readonly [number, number], tick: bigint, ...list: [number, Position][]) => crowd.place({
    kind: "agents", handle: 1, column, tick, agents: list.map(([number, position]) => ({ number, position, exit: EAST })),
  });
  const motion = new AgentMotion();
  const drawn = (nowMs: number) => {
    const places: Position[] = [];
    motion.update([crowd], nowMs, (_, place) => places.push(place));
    return places;
  };
  told([0, 0], 1n, [0, [127, 0, 0]], [1, [5, 0, 0]]);
  expect(drawn(0)).toHaveLength(2);
  told([0, 0], 2n);
  told([1, 0], 2n, [0, [128, 0, 0]]);
  expect(drawn(500)).toEqual([standing([127, 0, 0], 0)]);
  expect(drawn(1_000)).toEqual([standing([128, 0, 0], 0)]);
  motion.update([], 1_100, () => {});
  expect(motion.count).toBe(0);
});
