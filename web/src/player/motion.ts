/** How the player moves: flying, walking with gravity and collision, swimming. Pure; time is an argument. */
import type { Position } from "@terrane/client";

/** Height of the eye above the feet. */
export const EYE_HEIGHT = 1.62;
const HALF_WIDTH = 0.3;
const HEIGHT = 1.8;
const GRAVITY = 26;
const JUMP_SPEED = 8.4;
const WALK_SPEED = 4.6;
const SWIM_SPEED = 3;
const FALL_LIMIT = 50;
/** A step is cut into parts so small that no part passes through a voxel. */
const LONGEST_PART = 0.4;

/** The player's body. */
export interface Body {
  /** Middle of the feet. */
  readonly position: Position;
  readonly velocity: Position;
  readonly isFlying: boolean;
  readonly isOnGround: boolean;
}

/** What the player wants; forward and right in −1..1. */
export interface Intent {
  readonly forward: number;
  readonly right: number;
  readonly isRising: boolean;
  readonly isSinking: boolean;
  readonly yaw: number;
  readonly flySpeed: number;
}

/** The world as a body feels it. */
export interface Surrounding {
  isSolid(x: number, y: number, z: number): boolean;
  isLiquid(x: number, y: number, z: number): boolean;
  /** False where the chunk is not held: the body then stays where it is. */
  isHeld(x: number, y: number, z: number): boolean;
}

/** The body after `seconds`. */
export function stepBody(body: Body, intent: Intent, seconds: number, around: Surrounding): Body {
  return body.isFlying ? fly(body, intent, seconds) : walk(body, intent, seconds, around);
}

/** x and z of the wish to move, at most 1 long; yaw 0 looks to −z, a quarter turn to +x. */
function wish({ forward, right, yaw }: Intent): readonly [number, number] {
  const [sine, cosine] = [Math.sin(yaw), Math.cos(yaw)];
  const [x, z] = [sine * forward + cosine * right, -cosine * forward + sine * right];
  const length = Math.max(1, Math.hypot(x, z));
  return [x / length, z / length];
}

function fly(body: Body, intent: Intent, seconds: number): Body {
  const [x, z] = wish(intent);
  const rise = Number(intent.isRising) - Number(intent.isSinking);
  const blend = 1 - Math.exp(-seconds * 10);
  const target = [x, rise, z].map((part) => part * intent.flySpeed);
  const velocity = vector((axis) => body.velocity[axis] + (target[axis]! - body.velocity[axis]) * blend);
  const position = vector((axis) => body.position[axis] + velocity[axis] * seconds);
  return { position, velocity, isFlying: true, isOnGround: false };
}

function walk(body: Body, intent: Intent, seconds: number, around: Surrounding): Body {
  const [x, y, z] = body.position.map(Math.floor) as unknown as Position;
  if (!around.isHeld(x, y, z)) {
    return { ...body, velocity: [0, 0, 0] };
  }
  const isSwimming = around.isLiquid(x, Math.floor(body.position[1] + 0.6), z);
  const speed = isSwimming ? SWIM_SPEED : WALK_SPEED;
  const [wishX, wishZ] = wish(intent);
  const blend = 1 - Math.exp(-seconds * (body.isOnGround || isSwimming ? 14 : 5));
  const velocity: Position = [
    body.velocity[0] + (wishX * speed - body.velocity[0]) * blend,
    isSwimming ? swimSpeed(body, intent, seconds) : fallSpeed(body, intent, seconds),
    body.velocity[2] + (wishZ * speed - body.velocity[2]) * blend,
  ];
  return collide({ ...body, velocity }, seconds, around);
}

function fallSpeed(body: Body, intent: Intent, seconds: number): number {
  return body.isOnGround && intent.isRising
    ? JUMP_SPEED
    : Math.max(-FALL_LIMIT, body.velocity[1] - GRAVITY * seconds);
}

/** Out of the water at its edge a swimmer needs more than the swimming speed. */
function swimSpeed(body: Body, intent: Intent, seconds: number): number {
  const target = intent.isRising ? 4.5 : intent.isSinking ? -3.5 : -0.8;
  return body.velocity[1] + (target - body.velocity[1]) * (1 - Math.exp(-seconds * 6));
}

function collide(body: Body, seconds: number, around: Surrounding): Body {
  const position = [...body.position];
  const velocity = [...body.velocity];
  let isOnGround = false;
  const longest = Math.max(...velocity.map((speed) => Math.abs(speed * seconds)));
  const parts = Math.max(1, Math.ceil(longest / LONGEST_PART));
  for (let part = 0; part < parts; part += 1) {
    for (const axis of [1, 0, 2] as const) {
      const before = position[axis]!;
      position[axis] = before + (velocity[axis]! * seconds) / parts;
      if (touches(position, around)) {
        isOnGround ||= axis === 1 && velocity[1]! < 0;
        position[axis] = settleAgainst(position, before, axis, around);
        velocity[axis] = 0;
      }
    }
  }
  return { ...body, position: vector((axis) => position[axis]!), velocity: vector((axis) => velocity[axis]!), isOnGround };
}

/** The free place nearest to the obstacle, by halving. */
function settleAgainst(position: number[], before: number, axis: number, around: Surrounding): number {
  let [free, blocked] = [before, position[axis]!];
  const probe = [...position];
  for (let round = 0; round < 8; round += 1) {
    const middle = (free + blocked) / 2;
    probe[axis] = middle;
    [free, blocked] = touches(probe, around) ? [free, middle] : [middle, blocked];
  }
  return free;
}

/** Whether a body at the position would overlap a solid voxel. */
export function touches([x, y, z]: ArrayLike<number> & Iterable<number>, around: Pick<Surrounding, "isSolid">): boolean {
  for (let vy = Math.floor(y!); vy <= Math.floor(y! + HEIGHT); vy += 1) {
    for (let vz = Math.floor(z! - HALF_WIDTH); vz <= Math.floor(z! + HALF_WIDTH); vz += 1) {
      for (let vx = Math.floor(x! - HALF_WIDTH); vx <= Math.floor(x! + HALF_WIDTH); vx += 1) {
        if (around.isSolid(vx, vy, vz)) {
          return true;
        }
      }
    }
  }
  return false;
}

function vector(part: (axis: 0 | 1 | 2) => number): Position {
  return [part(0), part(1), part(2)];
}
