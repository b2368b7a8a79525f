/**
 * `window.terrane`: what tests and the curious may ask of the page.
 *
 * | call | gives |
 * |---|---|
 * | `state()` | connection phase, tick, chunks held and meshed, caught up, unacknowledged edits, position, bodies, support, light |
 * | `block(x, y, z)` | the block's name; null where its chunk is not held |
 * | `light(x, y, z)` | the light of a voxel, `{ sky, block }`, 0 to 15 each; null where it has not come |
 * | `edit(x, y, z, name)` | asks for a voxel to change; false if it cannot be asked for |
 * | `blast(x, y, z, power)` | sets off a blast; false if it cannot be asked for |
 * | `teleport(x, y, z, yaw, pitch)` | puts the feet there and looks along the angles, in degrees |
 * | `settled()` | a promise: everything subscribed to has come, with its light, and is drawn, and nothing falls |
 */
import type { Position } from "@terrane/client";
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
}

/** The hooks themselves. */
export interface TestHooks {
  state(): PageState;
  block(x: number, y: number, z: number): string | null;
  light(x: number, y: number, z: number): { readonly sky: number; readonly block: number } | null;
  edit(x: number, y: number, z: number, name: string): boolean;
  blast(x: number, y: number, z: number, power: number): boolean;
  teleport(x: number, y: number, z: number, yaw: number, pitch: number): void;
  settled(): Promise<void>;
}

declare global {
  interface Window {
    terrane: TestHooks;
  }
}
