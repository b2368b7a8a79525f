/** Agents between the server's words: each slides from its last voxel to the next in about the time that its steps take. */
import { EXITS, type HeldCrowd, type Position } from "@terrane/client";

/** How long a step is drawn at least and at most, whatever passed between two of them. */
const STEP_MS = { least: 60, most: 900, first: 250 } as const;

/** An agent as it is drawn. */
export interface DrawnAgent {
  /** Where it slides from, and to: voxels, with parts. */
  from: Position;
  to: Position;
  /** The server's word for `to`. */
  voxel: Position;
  startMs: number;
  lastsMs: number;
  /** Where it looks, in radians: 0 to −z, growing to +x. */
  yaw: number;
  /** The round in which it was seen last. */
  round: number;
}

/** Where it is drawn at a time. */
export function placeAt({ from, to, startMs, lastsMs }: DrawnAgent, nowMs: number): Position {
  const part = Math.max(0, Math.min(1, (nowMs - startMs) / lastsMs));
  return [from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part, from[2] + (to[2] - from[2]) * part];
}

/** Several may stand in one voxel: each has a corner of its own. */
export function standing([x, y, z]: Position, number: number): Position {
  const [dx, dz] = [[-1, -1], [1, 1], [-1, 1], [1, -1]][number & 3] as [number, number];
  return [x + 0.5 + dx * 0.21, y, z + 0.5 + dz * 0.21];
}

/** Follows the crowds of a client. */
export class AgentMotion {
  private readonly drawn = new Map<string, Map<number, DrawnAgent>>();
  private round = 0;

  /** How many are drawn. */
  get count(): number {
    return [...this.drawn.values()].reduce((sum, crowd) => sum + crowd.size, 0);
  }

  /** Takes in where agents are, and tells of each where it is drawn. */
  update(crowds: Iterable<HeldCrowd>, nowMs: number, draw: (crowd: HeldCrowd, place: Position, yaw: number) => void): void {
    this.round += 1;
    const handles = new Set<string>();
    for (const crowd of crowds) {
      const handle = `${crowd.handle}`;
      handles.add(handle);
      const known = this.drawn.get(handle) ?? new Map<number, DrawnAgent>();
      this.drawn.set(handle, known);
      for (const { number, position, exit } of crowd.agents()) {
        const agent = followed(known.get(number), number, position, exit, nowMs);
        agent.round = this.round;
        known.set(number, agent);
        draw(crowd, placeAt(agent, nowMs), agent.yaw);
      }
      known.forEach((agent, number) => agent.round === this.round || known.delete(number));
    }
    [...this.drawn.keys()].filter((handle) => !handles.has(handle)).forEach((handle) => this.drawn.delete(handle));
  }
}

/** An agent after the server's word, which may be the same as before. */
export function followed(
  agent: DrawnAgent | undefined, number: number, voxel: Position, exit: number | null, nowMs: number,
): DrawnAgent {
  const to = standing(voxel, number);
  if (agent === undefined) {
    return { from: to, to, voxel, startMs: nowMs, lastsMs: STEP_MS.first, yaw: yawOf(exit, 0), round: 0 };
  }
  if (agent.voxel.every((part, axis) => part === voxel[axis])) {
    return agent;
  }
  const isFar = agent.voxel.some((part, axis) => Math.abs(part - voxel[axis]!) > 2);
  const from = isFar ? to : placeAt(agent, nowMs);
  const lastsMs = Math.max(STEP_MS.least, Math.min(STEP_MS.most, nowMs - agent.startMs));
  return { ...agent, from, to, voxel, startMs: nowMs, lastsMs, yaw: yawOf(exit, agent.yaw) };
}

/** Where one looks after a step; up and down tell nothing. */
function yawOf(exit: number | null, before: number): number {
  const [x, , z] = exit === null ? [0, 0, 0] : EXITS[exit] ?? [0, 0, 0];
  return x === 0 && z === 0 ? before : Math.atan2(x, -z);
}
