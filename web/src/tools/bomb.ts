/** The bomb: a click bursts the block. */
import type { RayHit } from "../player/raycast.ts";
import type { WorldView } from "../world/world-view.ts";
import type { Tool } from "./tool.ts";

const POWER_RANGE = { least: 8, most: 248, step: 8, usual: 64 } as const;

export class BombTool implements Tool {
  readonly name = "bomb";
  readonly letter = "X";
  readonly help = "bomb: a click bursts the block looked at";
  private power: number = POWER_RANGE.usual;

  constructor(private readonly world: WorldView) {}

  label(isInHand: boolean): string {
    return isInHand ? `bomb, power ${this.power}` : "bomb";
  }

  click({ voxel }: RayHit): void {
    this.world.blast(voxel, this.power);
  }

  step(step: number): boolean {
    this.power = Math.max(POWER_RANGE.least, Math.min(POWER_RANGE.most, this.power + step * POWER_RANGE.step));
    return true;
  }
}
