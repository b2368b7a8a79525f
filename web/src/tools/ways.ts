/** The tool "ways": a click sets the start, the next the goal, and then there is a way for each mode of the world. */
import * as THREE from "three";
import type { Position } from "@terrane/client";
import type { RayHit } from "../player/raycast.ts";
import { Pin } from "../render/pins.ts";
import { laneOf, WayScene } from "../render/way-scene.ts";
import { WayLegend, type WayLine } from "../ui/way-legend.ts";
import { modeColor } from "../world/mode-look.ts";
import type { WorldView } from "../world/world-view.ts";
import { NO_ENDS, PLACE_REACH, standingVoxel, withClick, type Ends } from "./picking.ts";
import type { Tool, ToolFrame } from "./tool.ts";
import { outcomeText, WayQuestions } from "./way-questions.ts";

/** What tests may know of it. */
export interface WaysReport extends Ends {
  readonly ways: readonly { readonly mode: string; readonly text: string; readonly cost: number | null; readonly waypoints: readonly Position[] }[];
}

export class WaysTool implements Tool {
  readonly name = "ways";
  readonly letter = "P";
  readonly help = "ways: click a start and a goal; right click clears";
  readonly reach = PLACE_REACH;
  readonly object = new THREE.Group();
  private readonly legend = new WayLegend();
  readonly panel = this.legend.panel;
  private readonly scene = new WayScene();
  private readonly pins = { start: new Pin("A", "#ffffff"), goal: new Pin("B", "#ffd23d") };
  private ends: Ends = NO_ENDS;
  private questions: WayQuestions | null = null;

  constructor(private readonly world: WorldView) {
    this.object.add(this.scene.group, this.pins.start.object, this.pins.goal.object);
    this.refresh(false);
  }

  label(): string {
    return "ways";
  }

  click(hit: RayHit): void {
    this.take(withClick(this.ends, standingVoxel(hit, (x, y, z) => this.world.flagsAt(x, y, z))));
  }

  clear(): void {
    this.take(NO_ENDS);
  }

  prepare({ origin }: ToolFrame): void {
    this.scene.prepare(origin);
    this.pins.start.prepare(origin);
    this.pins.goal.prepare(origin);
  }

  refresh(isInHand: boolean): void {
    this.panel.hidden = !isInHand && this.ends.start === null;
    this.legend.show(this.lines(), this.hint());
  }

  report(): WaysReport {
    const { modes, outcomes } = this.questions ?? { modes: [], outcomes: [] };
    return {
      ...this.ends,
      ways: outcomes.map((outcome, place) => ({
        mode: modes[place]!, text: outcomeText(outcome),
        cost: outcome.kind === "answered" ? Number(outcome.way.cost) : null,
        waypoints: outcome.kind === "answered" ? outcome.way.waypoints : [],
      })),
    };
  }

  /** Shows these ends, and asks for ways between them if there are two. What was asked before is called off. */
  private take({ start, goal }: Ends): void {
    this.world.ask(() => this.questions?.callOff());
    this.ends = { start, goal };
    this.questions = null;
    this.scene.clear();
    this.pins.start.show(start);
    this.pins.goal.show(goal);
    if (start !== null && goal !== null) {
      const modes = this.world.client.modes.map(({ name }) => name);
      this.questions = new WayQuestions(
        modes,
        (mode, signal) => this.world.ask((client) => client.path(start, goal, { mode, signal })),
        (place, { waypoints }) => this.scene.add(waypoints, modeColor(modes[place]!, place), laneOf(place)),
      );
    }
  }

  private lines(): WayLine[] {
    const { modes, outcomes } = this.questions ?? { modes: [], outcomes: [] };
    return outcomes.map((outcome, place) => ({
      mode: modes[place]!, color: modeColor(modes[place]!, place), text: outcomeText(outcome),
      isDrawn: outcome.kind === "answered" && outcome.way.waypoints.length > 1,
    }));
  }

  private hint(): string {
    if (this.questions === null) {
      return this.ends.start === null ? "click where they shall begin" : "click where they shall lead";
    }
    const ticks = this.questions.outcomes.flatMap((outcome) => (outcome.kind === "answered" ? [outcome.way.tick] : []));
    const latest = ticks.reduce((most, tick) => (tick > most ? tick : most), 0n);
    return ticks.length === 0 ? "" : `as of tick ${latest}; they do not follow the world`;
  }
}
