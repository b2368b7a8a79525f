/** How bodies fall, tick by tick: the server's own numbers, in 1/256 voxel. */

/** What a body gains in a tick, in 1/256 voxel a tick. */
export const GRAVITY = 10;
/** The most it reaches. */
export const VELOCITY_LIMIT = 1_024;
/** Parts of a voxel in which a fall is counted. */
export const FALL_PARTS = 256;

/** What a body is about to do; the numbers are the wire's. */
export const BodyPhase = { falling: 0, landing: 1, shattering: 2 } as const;

/** How far a body has fallen, how fast it is, and what it is about to do. */
export interface Fall {
  readonly fallen: number;
  readonly velocity: number;
  readonly phase: number;
}

/** A body that has just left the grid. */
export const AT_REST: Fall = { fallen: 0, velocity: 0, phase: BodyPhase.falling };

/**
 * The same a tick later. `isFree(step)` says whether the body could be `step` whole voxels below its beginning; without it
 * nothing is in the way.
 */
export function fallOn(fall: Fall, isFree: (step: number) => boolean = () => true): Fall {
  if (fall.phase !== BodyPhase.falling) {
    return fall;
  }
  const velocity = Math.min(fall.velocity + GRAVITY, VELOCITY_LIMIT);
  const fallen = fall.fallen + velocity;
  for (let step = Math.floor(fall.fallen / FALL_PARTS) + 1; step <= Math.floor(fallen / FALL_PARTS); step += 1) {
    if (!isFree(step)) {
      return { fallen: (step - 1) * FALL_PARTS, velocity: 0, phase: BodyPhase.landing };
    }
  }
  return { fallen, velocity, phase: BodyPhase.falling };
}
