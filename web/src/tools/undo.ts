/** The tool "take back": asks what an undo would do, shows it as a ghost over the world, and does it if one says so. */
import * as THREE from "three";
import { chunkKey, type Position, type Undo, type UndoEvent, type UndoOptions, type UndoState } from "@terrane/client";
import { DrawClass } from "../mesh/layout.ts";
import { chunksNear, type GhostSource } from "../mesh/ghost.ts";
import { GhostMesher } from "../mesh/ghost-mesher.ts";
import type { RayHit } from "../player/raycast.ts";
import { GhostScene } from "../render/ghost-scene.ts";
import { BoxOutline } from "../render/lines.ts";
import type { Materials } from "../render/materials.ts";
import { Pin } from "../render/pins.ts";
import { UndoPanel } from "../ui/undo-panel.ts";
import type { WorldView } from "../world/world-view.ts";
import { NO_ENDS, PLACE_REACH, standingVoxel, withClick, type Ends } from "./picking.ts";
import type { Tool, ToolFrame } from "./tool.ts";
import { boxOf, outlineOf, placeText } from "./undo-box.ts";
import { undoPage, USUAL_WISH, wishFault, wishOptions, type UndoButton, type UndoWish } from "./undo-words.ts";

/** What a frame leaves for putting ghosts together. */
const GHOST_MS_PER_FRAME = 3;
const BOX_COLOR = "#8dff9d";

/** What tests may know of it. */
export interface UndoReport {
  /** The corners of the box, as far as they have been clicked. */
  readonly corners: readonly Position[];
  /** How far the undo is; null while one is still choosing. */
  readonly state: UndoState | null;
  readonly voxels: number;
  readonly chunks: number;
  readonly conflicts: number;
  readonly others: readonly { readonly name: string; readonly voxels: number }[];
  readonly looked: number;
  readonly of: number;
  /** The number of the undo, once it has begun. */
  readonly number: number | null;
  /** Why it is refused. */
  readonly error: string | null;
  /** Chunks with something of the ghost on the screen, its faces there, and chunks that have to be meshed. */
  readonly ghost: { readonly chunks: number; readonly quads: number; readonly waiting: number };
}

export class UndoTool implements Tool {
  readonly name = "undo";
  readonly letter = "U";
  readonly help = "take back: choose in its panel, click two corners for a box; right click drops it";
  readonly reach = PLACE_REACH;
  readonly object = new THREE.Group();
  private readonly form = new UndoPanel({
    onWish: (wish) => this.choose(wish), onButton: (button) => this.press(button), onWholeWorld: () => this.show(NO_ENDS),
  });
  readonly panel = this.form.panel;
  private readonly scene: GhostScene;
  private readonly mesher = new GhostMesher((chunk, words) => this.scene.replace(chunk, words));
  private readonly outline = new BoxOutline(BOX_COLOR);
  private readonly pins = { start: new Pin("1", "#ffffff"), goal: new Pin("2", BOX_COLOR) };
  private wish = USUAL_WISH;
  private corners: Ends = NO_ENDS;
  private undo: Undo | null = null;
  /** The undo whose ghost is shown. */
  private ghostOf: Undo | null = null;

  constructor(private readonly world: WorldView, materials: Materials) {
    this.scene = new GhostScene(materials);
    this.object.add(this.scene.group, this.outline.group, this.pins.start.object, this.pins.goal.object);
    this.refresh(false);
  }

  label(): string {
    return "take back";
  }

  /** A corner of the box, as long as nothing has been asked. */
  click(hit: RayHit): void {
    if (this.undo === null) {
      this.show(withClick(this.corners, standingVoxel(hit, (x, y, z) => this.world.flagsAt(x, y, z))));
    }
  }

  /** Drops what was asked; then the box. What goes on goes on until one stops it. */
  clear(): void {
    if (this.undo === null) {
      this.show(NO_ENDS);
    } else if (undoPage(this.undo).buttons.includes("back")) {
      this.drop();
    }
  }

  prepare({ origin }: ToolFrame): void {
    const until = performance.now() + GHOST_MS_PER_FRAME;
    this.mesher.pump(this.source(), () => performance.now() >= until);
    this.scene.prepare(origin);
    this.outline.prepare(origin);
    this.pins.start.prepare(origin);
    this.pins.goal.prepare(origin);
  }

  refresh(isInHand: boolean): void {
    this.panel.hidden = !isInHand && this.undo === null;
    if (!this.panel.hidden) {
      const form = { place: placeText(this.corners), hasBox: this.corners.start !== null, fault: this.fault() };
      this.form.show(form, this.undo === null ? null : undoPage(this.undo));
    }
  }

  /** A voxel that has become what the ghost says is not marked any more. */
  chunkChanged(chunk: Position): void {
    if (this.ghostOf?.ghost.has(chunkKey(chunk))) {
      this.mark(chunk);
    }
  }

  report(): UndoReport {
    const { plan = null, progress = null } = this.undo ?? {};
    const { start, goal } = this.corners;
    const number = this.undo?.number ?? null;
    return {
      corners: [start, goal].filter((corner) => corner !== null),
      state: this.undo?.state ?? null,
      voxels: Number(plan?.voxels ?? 0n), chunks: plan?.chunks ?? 0, conflicts: Number(plan?.conflicts ?? 0n),
      others: (plan?.others ?? []).map(({ name, voxels }) => ({ name, voxels: Number(voxels) })),
      looked: Number(progress?.looked ?? 0n), of: Number(progress?.of ?? 0n),
      number: number === null ? null : Number(number), error: this.undo?.error?.message ?? null,
      ghost: { ...this.scene.counts, waiting: this.mesher.waitingCount },
    };
  }

  private fault(): string | null {
    return this.corners.start !== null && this.corners.goal === null ? "click the other corner" : wishFault(this.wish);
  }

  private choose(wish: UndoWish): void {
    this.wish = wish;
    this.refresh(true);
  }

  private press(button: UndoButton): void {
    const number = this.undo?.number ?? null;
    switch (button) {
      case "look":
        if (this.fault() === null) {
          this.ask(wishOptions(this.wish, boxOf(this.corners)));
        }
        break;
      case "start":
        this.world.ask(() => this.undo?.start());
        break;
      case "stop":
        this.world.ask(() => this.undo?.end());
        break;
      case "again":
        if (number !== null) {
          this.ask({ undo: number });
        }
        break;
      case "back":
        this.drop();
        break;
    }
    this.refresh(true);
  }

  private ask(options: UndoOptions): void {
    this.drop();
    const undo: Undo = this.world.ask((client) => client.undo(options, (event) => this.hear(undo, event)));
    this.undo = undo;
  }

  private hear(undo: Undo, event: UndoEvent): void {
    if (undo !== this.undo) {
      return;
    }
    if (event.kind === "ghost") {
      this.ghostOf = undo;
      event.chunks.forEach((chunk) => this.mark(chunk));
    } else if (event.kind === "ended" || event.kind === "refused") {
      this.dropGhost();
    }
    this.refresh(true);
  }

  /** Back to the form. */
  private drop(): void {
    this.world.ask(() => this.undo?.end());
    this.undo = null;
    this.dropGhost();
    this.refresh(true);
  }

  private dropGhost(): void {
    this.ghostOf = null;
    this.mesher.clear();
    this.scene.clear();
  }

  /** A chunk's ghost has to be meshed, and those beside it, whose faces it may hide. */
  private mark(chunk: Position): void {
    for (const near of chunksNear(chunk)) {
      if (this.ghostOf?.ghost.has(chunkKey(near))) {
        this.mesher.mark(near);
      }
    }
  }

  private source(): GhostSource {
    const { client, drawClasses } = this.world;
    return {
      partAt: (chunk) => {
        const ghost = this.ghostOf?.ghost.get(chunkKey(chunk));
        return ghost === undefined ? null : { runs: ghost.runs, held: client.chunkAt(chunk) };
      },
      isSeen: (block) => (drawClasses[block] ?? DrawClass.nothing) !== DrawClass.nothing,
    };
  }

  private show(corners: Ends): void {
    this.corners = corners;
    this.pins.start.show(corners.start);
    this.pins.goal.show(corners.goal);
    this.outline.show(outlineOf(corners));
    this.refresh(true);
  }
}
