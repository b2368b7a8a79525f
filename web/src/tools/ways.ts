/** The tool "ways": a click sets the start, the next the goal, and then there is a way for each mode of the world. */
import * as THREE from "three";
import { PathRefusedError, type Mode, type Position, type Way } from "@terrane/client";
import type { RayHit } from "../player/raycast.ts";
import { Pin } from "../render/pins.ts";
import { laneOf, WayScene } from "../render/way-scene.ts";
import { WayLegend, type WayLine } from "../ui/way-legend.ts";
import { modeColor } from "../world/mode-look.ts";
import type { WorldView } from "../world/world-view.ts";
import { NO_ENDS, PLACE_REACH, standingVoxel, withClick, type Ends } from "./picking.ts";
import type { Tool, ToolFrame } from "./tool.ts";

/** Of the 32 requests that a client may have open; a field wants one too. */
const MOST_OPEN = 16;

/** What came of the question for one mode's way. */
export type WayOutcome =
  | { readonly kind: "waiting" }
  | { readonly kind: "answered"; readonly way: Way }
  | { readonly kind: "failed"; readonly text: string };

interface Asked {
  readonly mode: string;
  readonly color: string;
  outcome: WayOutcome;
}

/** What tests may know of it. */
export interface WaysReport extends Ends {
  readonly ways: readonly { readonly mode: string; readonly text: string; readonly cost: number | null; readonly waypoints: readonly Position[] }[];
}

/** An outcome in words. */
export function outcomeText(outcome: WayOutcome): string {
  if (outcome.kind !== "answered") {
    return outcome.kind === "waiting" ? "…" : outcome.text;
  }
  const { end, cost } = outcome.way;
  switch (end) {
    case "goal": return `cost ${cost}`;
    case "border": return `no way inside the box; ${cost} to its border`;
    case "unreachable": return "no way";
    case "tooFar": return "too far";
  }
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
  private asked: Asked[] = [];
  private asking = new AbortController();

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
    this.legend.show(this.asked.map(lineOf), this.hint());
  }

  report(): WaysReport {
    return {
      ...this.ends,
      ways: this.asked.map(({ mode, outcome }) => ({
        mode, text: outcomeText(outcome),
        cost: outcome.kind === "answered" ? Number(outcome.way.cost) : null,
        waypoints: outcome.kind === "answered" ? outcome.way.waypoints : [],
      })),
    };
  }

  /** Shows these ends, and asks for ways between them if there are two. What was asked before is called off. */
  private take(ends: Ends): void {
    this.world.ask(() => this.asking.abort());
    this.ends = ends;
    this.scene.clear();
    this.pins.start.show(ends.start);
    this.pins.goal.show(ends.goal);
    this.asked = [];
    if (ends.start !== null && ends.goal !== null) {
      this.asking = new AbortController();
      this.asked = this.world.client.modes.map(({ name }: Mode, place) => ({
        mode: name, color: modeColor(name, place), outcome: { kind: "waiting" },
      }));
      const waiting = this.asked.entries();
      for (let open = 0; open < MOST_OPEN; open += 1) {
        void this.askInTurn(waiting, ends.start, ends.goal, this.asking.signal);
      }
    }
  }

  /** Asks one question after the other until none is left, or until they are called off. */
  private async askInTurn(waiting: Iterator<[number, Asked]>, start: Position, goal: Position, signal: AbortSignal): Promise<void> {
    for (let next = waiting.next(); !next.done && !signal.aborted; next = waiting.next()) {
      const [place, asked] = next.value;
      const outcome = await this.wayOf(asked.mode, start, goal, signal);
      if (signal.aborted) {
        return;
      }
      asked.outcome = outcome;
      if (outcome.kind === "answered") {
        this.scene.add(outcome.way.waypoints, asked.color, laneOf(place));
      }
    }
  }

  private async wayOf(mode: string, start: Position, goal: Position, signal: AbortSignal): Promise<WayOutcome> {
    try {
      return { kind: "answered", way: await this.world.ask((client) => client.path(start, goal, { mode, signal })) };
    } catch (error) {
      if (!(error instanceof PathRefusedError)) {
        throw error;
      }
      return { kind: "failed", text: error.message };
    }
  }

  private hint(): string {
    if (this.ends.start === null) {
      return "click where they shall begin";
    }
    if (this.ends.goal === null) {
      return "click where they shall lead";
    }
    const ticks = this.asked.flatMap(({ outcome }) => (outcome.kind === "answered" ? [outcome.way.tick] : []));
    const latest = ticks.reduce((most, tick) => (tick > most ? tick : most), 0n);
    return ticks.length === 0 ? "" : `as of tick ${latest}; they do not follow the world`;
  }
}

function lineOf({ mode, color, outcome }: Asked): WayLine {
  return { mode, color, text: outcomeText(outcome), isDrawn: outcome.kind === "answered" && outcome.way.waypoints.length > 1 };
}
