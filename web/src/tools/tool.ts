/** What a tool is: something to take in hand, so that clicks on blocks mean something else than digging. */
import type * as THREE from "three";
import type { Position } from "@terrane/client";
import type { RayHit } from "../player/raycast.ts";

/** What a frame tells the tools. */
export interface ToolFrame {
  /** The corner of the world that is drawn at (0, 0, 0), in voxels. */
  readonly origin: Position;
  readonly lookedAt: RayHit | null;
  /** Where the player's feet are. */
  readonly feet: Position;
}

/** A tool. What it shows stays when it is put away, until it is cleared. */
export interface Tool {
  /** Also the name in `Command`, on the bar and in the tests. */
  readonly name: string;
  /** The key that takes it in hand, as the bar shows it; `player/input.ts` binds it. */
  readonly letter: string;
  /** A line for the list of keys. */
  readonly help: string;
  /** How far away a block may be that is clicked, in voxels; as for digging if it is left out. */
  readonly reach?: number;
  /** What it draws. */
  readonly object?: THREE.Object3D;
  /** What it tells beside the view. */
  readonly panel?: HTMLElement;
  /** What stands on its button. */
  label(isInHand: boolean): string;
  /** A click on a block. */
  click(hit: RayHit): void;
  /** The right button: takes away all that it shows. Without it the button places blocks. */
  clear?(): void;
  /** The wheel, and the keys for less and more. Returns whether there is something to make more or less of. */
  step?(step: number): boolean;
  /** The key for the next mode. */
  nextMode?(): void;
  /** Once a frame, before it is drawn. */
  prepare?(frame: ToolFrame): void;
  /** A few times a second: brings its panel up to date. */
  refresh?(isInHand: boolean): void;
  /** The blocks of a chunk came, changed or went. */
  chunkChanged?(chunk: Position): void;
}
