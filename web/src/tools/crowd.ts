/** The tool "crowd": a click says where agents begin, the next where they go. All crowds of the world are drawn, whoever sent them. */
import * as THREE from "three";
import { MAX_FIELD_CHUNKS, type Position } from "@terrane/client";
import type { RayHit } from "../player/raycast.ts";
import { AgentScene } from "../render/agent-scene.ts";
import { Pin } from "../render/pins.ts";
import { CrowdLegend } from "../ui/crowd-legend.ts";
import { AgentMotion } from "../world/agent-motion.ts";
import { modeColor } from "../world/mode-look.ts";
import type { WorldView } from "../world/world-view.ts";
import { boxAround, chunksOf } from "./field-box.ts";
import { NO_ENDS, PLACE_REACH, standingVoxel, withClick, type Ends } from "./picking.ts";
import type { Tool, ToolFrame } from "./tool.ts";

const COUNTS = [1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000] as const;
const USUAL_COUNT = COUNTS.indexOf(2_000);
const USUAL_MODE = "ground";
/** What an agent gathers in a tick: over plain ground five voxels a second at 20 ticks. */
const SPEED = 128;
/** How far around the first click agents begin, in voxels, and how far around both clicks they may go. */
const [CROWDED, REACH]: [Position, Position] = [[16, 6, 16], [40, 24, 40]];

/** What tests may know of it. */
export interface CrowdReport extends Ends {
  readonly mode: string;
  readonly crowds: readonly { readonly mode: string; readonly agents: number; readonly isOwn: boolean }[];
  /** Agents on the screen. */
  readonly drawn: number;
}

export class CrowdTool implements Tool {
  readonly name = "crowd";
  readonly letter = "C";
  readonly help = "crowd: click where agents begin and where they go; right click dismisses yours";
  readonly reach = PLACE_REACH;
  readonly object = new THREE.Group();
  private readonly legend = new CrowdLegend((mode) => this.choose(mode));
  readonly panel = this.legend.panel;
  private readonly scene = new AgentScene();
  private readonly motion = new AgentMotion();
  private readonly pins = { start: new Pin("A", "#ffffff"), goal: new Pin("B", "#ffd23d") };
  private ends: Ends = NO_ENDS;
  private mode = USUAL_MODE;
  private count: number = USUAL_COUNT;
  private fault: string | null = null;

  constructor(private readonly world: WorldView) {
    this.object.add(this.scene.mesh, this.pins.start.object, this.pins.goal.object);
    this.refresh(false);
  }

  label(isInHand: boolean): string {
    return isInHand ? `crowd, ${this.mode}` : "crowd";
  }

  click(hit: RayHit): void {
    this.show(withClick(this.ends, standingVoxel(hit, (x, y, z) => this.world.flagsAt(x, y, z))));
    const { start, goal } = this.ends;
    if (start !== null && goal !== null) {
      this.send(start, goal);
    }
  }

  clear(): void {
    this.show(NO_ENDS);
    if ([...this.world.client.crowds.values()].some(({ sequence }) => sequence > 0n)) {
      this.world.ask((client) => client.dismiss());
    }
  }

  /** More agents, or fewer. */
  step(step: number): boolean {
    this.count = Math.max(0, Math.min(COUNTS.length - 1, this.count + step));
    return true;
  }

  nextMode(): void {
    const { modes } = this.world.client;
    const place = modes.findIndex(({ name }) => name === this.mode);
    this.choose(modes[(place + 1) % modes.length]?.name ?? USUAL_MODE);
  }

  prepare({ origin }: ToolFrame): void {
    this.scene.begin(origin);
    this.motion.update(this.world.client.crowds.values(), performance.now(), ({ mode }, place, yaw) => {
      this.scene.add(place, yaw, this.colorOf(mode));
    });
    this.scene.end();
    this.pins.start.prepare(origin);
    this.pins.goal.prepare(origin);
  }

  refresh(isInHand: boolean): void {
    const crowds = this.crowds();
    this.panel.hidden = !isInHand && crowds.length === 0;
    if (!this.panel.hidden) {
      this.legend.show({
        modes: this.world.client.modes.map(({ name }) => ({ name, color: this.colorOf(name) })),
        chosen: this.mode,
        crowds: crowds.map(({ mode, agents, isOwn }) => ({ mode, color: this.colorOf(mode), agents, isOwn })),
        hint: this.hint(isInHand),
      });
    }
  }

  report(): CrowdReport {
    return { ...this.ends, mode: this.mode, crowds: this.crowds(), drawn: this.motion.count };
  }

  private crowds(): CrowdReport["crowds"] {
    const { crowds } = this.world.client;
    return [...crowds.values()].map(({ mode, count, sequence }) => ({ mode, agents: count, isOwn: sequence > 0n }));
  }

  private colorOf(mode: string): string {
    return modeColor(mode, this.world.client.modes.findIndex(({ name }) => name === mode));
  }

  private choose(mode: string): void {
    this.mode = mode;
    this.refresh(true);
  }

  private show(ends: Ends): void {
    [this.ends, this.fault] = [ends, null];
    this.pins.start.show(ends.start);
    this.pins.goal.show(ends.goal);
  }

  /** What the world refuses, the world's view tells. */
  private send(start: Position, goal: Position): void {
    const within = boxAround(start, goal, REACH);
    if (chunksOf(within) > MAX_FIELD_CHUNKS) {
      this.fault = "too far from each other for one field";
      return;
    }
    const agents = COUNTS[this.count]!;
    const from = boxAround(start, start, CROWDED);
    this.world.ask((client) => client.crowd({ mode: this.mode, goals: [goal], within, from, agents, speed: SPEED }));
  }

  private hint(isInHand: boolean): string {
    if (this.fault !== null || !isInHand) {
      return this.fault ?? "";
    }
    const { start, goal } = this.ends;
    const count = COUNTS[this.count]!.toLocaleString("en");
    return start !== null && goal === null ? "click where they shall go" : `click where ${count} shall begin`;
  }
}
