/** The tool "field": a click sets the goal, and from everywhere around it costs and moves are shown as they are now. */
import * as THREE from "three";
import { chunkKey, FieldMove, Medium, type Field, type FieldEvent, type Position } from "@terrane/client";
import type { RayHit } from "../player/raycast.ts";
import { FieldScene } from "../render/field-scene.ts";
import { Pin } from "../render/pins.ts";
import { FieldLegend } from "../ui/field-legend.ts";
import { fieldCells, type CellChunk } from "../world/field-cells.ts";
import { modeColor } from "../world/mode-look.ts";
import type { WorldView } from "../world/world-view.ts";
import { fieldBox } from "./field-box.ts";
import { PLACE_REACH, standingVoxel } from "./picking.ts";
import type { Tool, ToolFrame } from "./tool.ts";

/** Working out the cells of a chunk takes about a millisecond at most, and far less for most. */
const CHUNKS_PER_FRAME = 12;
const USUAL_MODE = "ground";

/** What tests may know of it. */
export interface FieldReport {
  readonly goal: Position | null;
  readonly mode: string;
  readonly isCurrent: boolean;
  readonly tick: number;
  /** Tiles on the screen. */
  readonly cells: number;
  /** Chunks whose tiles have to be worked out again. */
  readonly waiting: number;
  readonly farthest: number;
}

export class FieldTool implements Tool {
  readonly name = "field";
  readonly letter = "G";
  readonly help = "field: click a goal to see costs and moves; right click clears";
  readonly reach = PLACE_REACH;
  readonly object = new THREE.Group();
  private readonly legend = new FieldLegend((mode) => this.choose(mode));
  readonly panel = this.legend.panel;
  private readonly scene = new FieldScene();
  private readonly pin = new Pin("★", "#ffd23d");
  /** Chunks whose cells have to be worked out. */
  private readonly waiting = new Map<string, Position>();
  private mode = USUAL_MODE;
  private goal: Position | null = null;
  private field: Field | null = null;
  private fault: string | null = null;
  /** The height at which modes that move freely are shown also in the air. */
  private layer = 0;
  private lookedAt: Position | null = null;
  private feet: Position = [0, 0, 0];

  constructor(private readonly world: WorldView) {
    this.object.add(this.scene.group, this.pin.object);
    this.refresh(false);
  }

  label(isInHand: boolean): string {
    return isInHand ? `field, ${this.mode}` : "field";
  }

  click(hit: RayHit): void {
    this.goal = this.voxelAt(hit);
    this.layer = this.goal[1];
    this.open();
  }

  clear(): void {
    this.goal = null;
    this.open();
  }

  /** The layer in the air, higher or lower; for modes that have one. */
  step(step: number): boolean {
    if (this.walks()) {
      return false;
    }
    const [before, after] = [this.layer, this.layer + step];
    this.layer = after;
    const heights = [before >> 5, after >> 5];
    this.field?.chunks.filter(([, y]) => heights.includes(y)).forEach((chunk) => this.mark(chunk));
    return true;
  }

  nextMode(): void {
    const { modes } = this.world.client;
    const place = modes.findIndex(({ name }) => name === this.mode);
    this.choose(modes[(place + 1) % modes.length]?.name ?? USUAL_MODE);
  }

  prepare({ origin, lookedAt, feet }: ToolFrame): void {
    this.lookedAt = lookedAt === null ? null : this.voxelAt(lookedAt);
    this.feet = feet;
    for (const [key, chunk] of [...this.waiting].slice(0, CHUNKS_PER_FRAME)) {
      this.waiting.delete(key);
      this.scene.replace(chunk, this.cellsOf(chunk));
    }
    this.scene.prepare(origin);
    this.pin.prepare(origin);
  }

  refresh(isInHand: boolean): void {
    this.panel.hidden = !isInHand && this.goal === null;
    if (this.panel.hidden) {
      return;
    }
    this.scene.fitRamp();
    this.legend.show({
      modes: this.world.client.modes.map(({ name }, place) => ({ name, color: modeColor(name, place) })),
      chosen: this.mode, farthest: this.field === null ? null : this.scene.farthest,
      state: this.stateText(), isCurrent: this.field?.isCurrent === true, lookedAt: this.lookedAtText(),
    });
  }

  /** A cell depends on the blocks of its chunk and on those above and below. */
  chunkChanged(chunk: Position): void {
    if (this.field !== null) {
      this.markColumn(chunk);
    }
  }

  report(): FieldReport {
    return {
      goal: this.goal, mode: this.mode, isCurrent: this.field?.isCurrent === true, tick: Number(this.field?.tick ?? 0n),
      cells: this.scene.cellCount, waiting: this.waiting.size, farthest: this.scene.farthest,
    };
  }

  /** What a voxel costs, for tests. */
  costAt(voxel: Position): number | null {
    return this.field?.costAt(voxel) ?? null;
  }

  private voxelAt(hit: RayHit): Position {
    return standingVoxel(hit, (x, y, z) => this.world.flagsAt(x, y, z));
  }

  private walks(): boolean {
    return this.world.client.modes.find(({ name }) => name === this.mode)?.medium === Medium.walk;
  }

  private choose(mode: string): void {
    this.mode = mode;
    this.open();
  }

  /** Follows the field of the goal and mode chosen, in place of the one before. */
  private open(): void {
    const before = this.field;
    this.world.ask(() => before?.cancel());
    [this.field, this.fault] = [null, null];
    this.waiting.clear();
    this.scene.clear();
    this.pin.show(this.goal);
    if (this.goal !== null) {
      const [goal, box] = [this.goal, fieldBox(this.goal, this.feet)];
      this.field = this.world.ask((client) => client.field([goal], this.mode, box, (event) => this.hear(event)));
    }
    this.refresh(true);
  }

  private hear(event: FieldEvent): void {
    if (event.kind === "chunk") {
      this.markColumn(event.chunk);
    } else if (event.kind === "ended") {
      this.fault = event.error.message;
      this.field = null;
      this.waiting.clear();
      this.scene.clear();
    }
  }

  private markColumn([x, y, z]: Position): void {
    [y - 1, y, y + 1].forEach((height) => this.mark([x, height, z]));
  }

  private mark(chunk: Position): void {
    if (this.field?.partAt(chunk)) {
      this.waiting.set(chunkKey(chunk), chunk);
    }
  }

  private cellsOf([x, y, z]: Position): Uint32Array<ArrayBuffer> {
    const { client } = this.world;
    const known = (height: number): CellChunk => ({
      part: this.field?.partAt([x, height, z]) ?? null, blocks: client.chunkAt([x, height, z]),
    });
    const layer = !this.walks() && this.layer >> 5 === y ? this.layer & 31 : null;
    return fieldCells({ above: known(y + 1), here: known(y), below: known(y - 1), flags: this.world.blockFlags, layer });
  }

  private stateText(): string {
    if (this.fault !== null) {
      return this.fault;
    }
    if (this.field === null) {
      return "click a goal";
    }
    const { isCurrent, tick } = this.field;
    return isCurrent ? `current after tick ${tick}` : tick === 0n ? "being worked out …" : `out of date since tick ${tick} …`;
  }

  private lookedAtText(): string {
    if (this.field === null || this.lookedAt === null) {
      return "";
    }
    const cost = this.field.costAt(this.lookedAt);
    return `looked at: ${cost === null ? placeText(this.field.moveAt(this.lookedAt)) : `cost ${cost}`}`;
  }
}

/** What a field says of a voxel without a move, in words. */
function placeText(move: number | null): string {
  switch (move) {
    case null: return "outside the field";
    case FieldMove.goal: return "the goal";
    case FieldMove.tooFar: return "too far to tell";
    case FieldMove.unreachable: return "no way from here";
    default: return "it can't be here";
  }
}
