/** The crowds that a client is told of, and where their agents are. */
import { ProtocolError } from "./bytes.ts";
import type { AgentMoves, Agents, Crowd } from "./crowd-frames.ts";
import { EXITS } from "./field.ts";
import type { Box } from "./paths.ts";
import type { Position } from "./positions.ts";

/** How a crowd is asked for. */
export interface CrowdOptions {
  readonly mode: string;
  readonly goals: readonly Position[];
  /** The box that agents stay in; their field is worked out over it. */
  readonly within: Box;
  /** They are spread evenly over the voxels in it from which a goal can be reached. */
  readonly from: Box;
  readonly agents: number;
  /** What each gathers in a tick, in 1/256 of a unit of cost; 64 if it is left out. */
  readonly speed?: number;
}

/** An agent as the client holds it. */
export interface HeldAgent {
  /** Its number in its crowd. */
  readonly number: number;
  position: Position;
  /** The number in EXITS of its last step, if it has moved. */
  exit: number | null;
}

interface Part {
  tick: bigint;
  readonly agents: Map<number, HeldAgent>;
}

/** A crowd as the client holds it: only what is in the columns it looks at. */
export class HeldCrowd {
  private readonly parts = new Map<string, Part>();

  constructor(private readonly info: Crowd) {}

  get handle(): number {
    return this.info.handle;
  }

  /** The input of this session that asked for it, or 0. */
  get sequence(): bigint {
    return this.info.sequence;
  }

  get mode(): string {
    return this.info.mode;
  }

  get goals(): readonly Position[] {
    return this.info.goals;
  }

  /** What each agent gathers in a tick, in 1/256 of a unit of cost. */
  get speed(): number {
    return this.info.speed;
  }

  /** The box that its agents stay in. */
  get box(): Box {
    return { first: this.info.first, end: this.info.end };
  }

  /** How many of its agents are seen. */
  get count(): number {
    return [...this.parts.values()].reduce((sum, part) => sum + part.agents.size, 0);
  }

  /** Its agents that are seen. */
  *agents(): Generator<HeldAgent> {
    for (const part of this.parts.values()) {
      yield* part.agents.values();
    }
  }

  /** Takes in all agents of a column. */
  place({ column, tick, agents }: Agents): void {
    if (agents.length === 0) {
      this.parts.delete(column.join(" "));
      return;
    }
    const held = agents.map((agent): [number, HeldAgent] => [agent.number, { ...agent }]);
    this.parts.set(column.join(" "), { tick, agents: new Map(held) });
  }

  /** Takes in what agents of a column did. Throws ProtocolError if something is missing in between. */
  move({ column, from, tick, steps, entered }: AgentMoves): void {
    const part = this.parts.get(column.join(" "));
    if (part === undefined || part.tick !== from) {
      throw new ProtocolError(`steps since tick ${from} of column ${column.join(", ")}, known at ${part?.tick}`, "agentMoves", 0);
    }
    part.tick = tick;
    for (const { number, exit } of steps) {
      const agent = part.agents.get(number);
      if (agent === undefined) {
        throw new ProtocolError(`a step of agent ${number}, which nobody knows`, "agentMoves", 0);
      }
      if (exit === null) {
        part.agents.delete(number);
      } else {
        const [[x, y, z], [dx, dy, dz]] = [agent.position, EXITS[exit]!];
        agent.position = [x + dx, y + dy, z + dz];
        agent.exit = exit;
      }
    }
    entered.forEach((agent) => part.agents.set(agent.number, { ...agent }));
  }
}
