/**
 * `window.terrane`: what tests and the curious may ask of the page.
 *
 * | call | gives |
 * |---|---|
 * | `state()` | connection phase, tick, chunks held and meshed, caught up, unacknowledged edits, position, bodies, support, light, what has come, what is kept |
 * | `block(x, y, z)` | the block's name; null where its chunk is not held |
 * | `light(x, y, z)` | the light of a voxel, `{ sky, block }`, 0 to 15 each; null where it has not come |
 * | `edit(x, y, z, name)` | asks for a voxel to change; false if it cannot be asked for |
 * | `blast(x, y, z, power)` | sets off a blast; false if it cannot be asked for |
 * | `teleport(x, y, z, yaw, pitch)` | puts the feet there and looks along the angles, in degrees |
 * | `ways()` | the ends that were clicked, and what came of each mode's way |
 * | `crowd()` | the ends that were clicked, the mode chosen, the crowds that are seen, and how many agents are drawn |
 * | `field()` | the field that is shown: goal, mode, whether it is current, tiles drawn and to be drawn again, the end of the ramp |
 * | `fieldCost(x, y, z)` | what the field says that it costs from a voxel; null where there is no move |
 * | `undo()` | what "take back" has asked for: corners of the box, state, counts, who else has built there, progress, number, ghost on the screen |
 * | `settled()` | a promise: everything subscribed to has come, with its light, and is drawn, and nothing falls |
 */
import type { Position } from "@terrane/client";
import type { CrowdReport } from "./tools/crowd.ts";
import type { FieldReport } from "./tools/field.ts";
import type { UndoReport } from "./tools/undo.ts";
import type { WaysReport } from "./tools/ways.ts";
import type { BodyCounts } from "./world/body-view.ts";

/** What `state()` gives. */
export interface PageState {
  readonly connection: string;
  readonly tick: number;
  readonly chunksHeld: number;
  readonly chunksMeshed: number;
  readonly caughtUp: boolean;
  readonly unacknowledged: number;
  readonly position: Position;
  readonly bodies: BodyCounts;
  /** Chunks whose support has come. */
  readonly supportChunks: number;
  /** Chunks whose light has come. */
  readonly lightChunks: number;
  /** What has come from the server, on all connections. */
  readonly received: { readonly bytes: number; readonly snapshots: number; readonly changes: number; readonly same: number };
  /** Chunks kept for the next visit, and those that are still to be written. */
  readonly kept: { readonly chunks: number; readonly unwritten: number };
}

/** The hooks themselves. */
export interface TestHooks {
  state(): PageState;
  block(x: number, y: number, z: number): string | null;
  light(x: number, y: number, z: number): { readonly sky: number; readonly block: number } | null;
  edit(x: number, y: number, z: number, name: string): boolean;
  blast(x: number, y: number, z: number, power: number): boolean;
  teleport(x: number, y: number, z: number, yaw: number, pitch: number): void;
  ways(): WaysReport;
  crowd(): CrowdReport;
  field(): FieldReport;
  fieldCost(x: number, y: number, z: number): number | null;
  undo(): UndoReport;
  settled(): Promise<void>;
}

declare global {
  interface Window {
    terrane: TestHooks;
  }
}
