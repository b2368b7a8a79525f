/** The player: ray cast against a fine march, and motion on a flat floor, against a wall, in water. */
import type { Position } from "@terrane/client";
import { stepBody, type Body, type Intent, type Surrounding } from "../src/player/motion.ts";
import { castRay } from "../src/player/raycast.ts";

const STILL: Intent = { forward: 0, right: 0, isRising: false, isSinking: false, yaw: 0, flySpeed: 10 };

/** A floor up to y = 10, a wall from z = −5 on, water for x ≥ 20 above y = 5. */
const YARD: Surrounding = {
  isSolid: (x, y, z) => (x >= 20 ? y < 5 : y < 10) || z < -5,
  isLiquid: (x, y) => x >= 20 && y >= 5 && y < 10,
  isHeld: () => true,
};

function run(body: Body, intent: Partial<Intent>, seconds: number, around = YARD): Body {
  let current = body;
  for (let frame = 0; frame < seconds * 60; frame += 1) {
    current = stepBody(current, { ...STILL, ...intent }, 1 / 60, around);
  }
  return current;
}

const standingAt = (position: Position): Body => ({ position, velocity: [0, 0, 0], isFlying: false, isOnGround: false });

test("a body falls onto the floor and stays there", () => {
  const body = run(standingAt([0.5, 30, 0.5]), {}, 3);
  expect(body.position[1]).toBeCloseTo(10, 1);
  expect(body.position[1]).toBeGreaterThanOrEqual(10);
  expect(body.isOnGround).toBe(true);
});

test("walking stops at a wall and never enters it, whatever the frame rate", () => {
  for (const rate of [10, 30, 144]) {
    let body = standingAt([0.5, 10.01, 0.5]);
    for (let frame = 0; frame < 4 * rate; frame += 1) {
      body = stepBody(body, { ...STILL, forward: 1 }, 1 / rate, YARD);
    }
    expect(body.position[2]).toBeGreaterThanOrEqual(-5 + 0.3);
    expect(body.position[2]).toBeLessThan(-5 + 0.36);
  }
});

test("a jump clears one voxel, not two", () => {
  const grounded = run(standingAt([0.5, 10.01, 0.5]), {}, 0.5);
  let [body, highest] = [grounded, 0];
  for (let frame = 0; frame < 60; frame += 1) {
    body = stepBody(body, { ...STILL, isRising: frame < 5 }, 1 / 60, YARD);
    highest = Math.max(highest, body.position[1]);
  }
  expect(highest - 10).toBeGreaterThan(1.05);
  expect(highest - 10).toBeLessThan(2);
});

test("a swimmer sinks slowly and rises to the surface", () => {
  const sinking = run(standingAt([25, 8, 0.5]), {}, 1);
  expect(sinking.velocity[1]).toBeGreaterThan(-1.5);
  const rising = run(standingAt([25, 5.5, 0.5]), { isRising: true }, 2);
  expect(rising.position[1]).toBeGreaterThan(8.5);
});

test("flying passes through everything, and a body in a chunk that is not held stays put", () => {
  const flown = run({ ...standingAt([0.5, 5, 0.5]), isFlying: true }, { forward: 1 }, 2);
  expect(flown.position[2]).toBeLessThan(-10);
  const waiting = run(standingAt([0.5, 30, 0.5]), { forward: 1 }, 2, { ...YARD, isHeld: () => false });
  expect(waiting.position).toEqual([0.5, 30, 0.5]);
});

test("a ray meets the voxel that a fine march meets, through the side it names", () => {
  const stops = (x: number, y: number, z: number) => ((x * 73_856_093) ^ (y * 19_349_663) ^ (z * 83_492_791)) % 11 === 0;
  for (let shot = 0; shot < 300; shot += 1) {
    const [yaw, pitch] = [shot * 0.77, Math.sin(shot) * 1.4];
    const direction: Position = [Math.cos(yaw) * Math.cos(pitch), Math.sin(pitch), Math.sin(yaw) * Math.cos(pitch)];
    const from: Position = [0.37 + shot, 0.41 - shot, 0.63];
    const hit = castRay(from, direction, 40, stops);
    let marched: number[] | null = null;
    for (let distance = 0; distance < 40 && marched === null; distance += 0.0005) {
      const place = from.map((value, axis) => Math.floor(value + direction[axis]! * distance));
      marched = stops(place[0]!, place[1]!, place[2]!) ? place : null;
    }
    expect(hit?.voxel ?? null).toEqual(marched);
    if (hit !== null && hit.normal.some((part) => part !== 0)) {
      expect(hit.normal.reduce((sum, part, axis) => sum + part * direction[axis]!, 0)).toBeLessThan(0);
    }
  }
});

test("a ray ends at its reach", () => {
  expect(castRay([0.5, 0.5, 0.5], [1, 0, 0], 8, (x) => x === 8)?.normal).toEqual([-1, 0, 0]);
  expect(castRay([0.5, 0.5, 0.5], [1, 0, 0], 8, (x) => x === 9)).toBeNull();
});
