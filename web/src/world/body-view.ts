/** Bodies between the server's words: each falls on by the server's own rule, against the blocks that are held. */
import {
  chunkOfVoxel, fallOn, FALL_PARTS, type Client, type Fall, type HeldBody, type Position,
} from "@terrane/client";
import { meshBody } from "../mesh/body.ts";
import type { BodyScene } from "../render/body-scene.ts";

/** What bodies must know about the world. */
export interface BodySurrounding {
  /** DrawClass by block id. */
  readonly drawClasses: Uint8Array;
  /** Whether a voxel takes up its place; what is not held does not. */
  isSolid(x: number, y: number, z: number): boolean;
  /** Whether the chunk is still drawn as it was before its last change. */
  isStale(chunk: Position): boolean;
  /** The light of a voxel, of the sky and of blocks; null where none is known or shown. */
  lightAt(x: number, y: number, z: number): { readonly sky: number; readonly block: number } | null;
}

interface ShownBody {
  readonly body: HeldBody;
  /** Its voxels with none of its own below them. */
  readonly feet: readonly Position[];
  /** Of its box, along x, y, z. */
  readonly size: Position;
  /** Where it is after `tick`. */
  fall: Fall;
  tick: bigint;
  /** Parts of a voxel below its beginning, as drawn last. */
  drawn: number;
  /** When it ended; it stays on the screen until what it has become is drawn. */
  endedMs: number | null;
}

/** A body whose chunks are not drawn anew within this time goes all the same. */
const LINGER_MS = 1_500;
/** Ticks that are made up for in one frame, after the page has slept. */
const TICKS_PER_FRAME = 40;

/** What the page may ask about bodies. */
export interface BodyCounts {
  /** That fall now. */
  readonly falling: number;
  /** That have been shown. */
  readonly seen: number;
  /** That have been drawn on their way: neither where they began nor where they ended. */
  readonly drawnFalling: number;
}

/** Follows the client's bodies and shows them. */
export class BodyView {
  private readonly shown = new Map<number, ShownBody>();
  private readonly onTheWay = new WeakSet<HeldBody>();
  private seen = 0;
  private drawnFalling = 0;

  constructor(
    private readonly client: Client, private readonly scene: BodyScene, private readonly around: BodySurrounding,
  ) {}

  get counts(): BodyCounts {
    return { falling: this.client.bodies.size, seen: this.seen, drawnFalling: this.drawnFalling };
  }

  /** Whether nothing falls, and what has landed is drawn as part of the world. */
  get isSettled(): boolean {
    return this.shown.size === 0;
  }

  began(body: HeldBody): void {
    const ends = body.runs.map(({ first: [x, y, z], length }) => [x + length, y + 1, z + 1]);
    const size = [0, 1, 2].map((axis) => ends.reduce((most, end) => Math.max(most, end[axis]!), 1)) as unknown as Position;
    this.seen += 1;
    this.scene.add(body.handle, body.corner, meshBody(body.runs, this.around.drawClasses));
    this.shown.set(body.handle, {
      body, feet: feetOf(body), size, fall: body.fall, tick: body.tick, drawn: body.fall.fallen, endedMs: null,
    });
  }

  moved(body: HeldBody): void {
    const shown = this.shown.get(body.handle);
    if (shown !== undefined) {
      [shown.fall, shown.tick] = [body.fall, body.tick];
    }
  }

  ended(body: HeldBody, nowMs: number): void {
    const shown = this.shown.get(body.handle);
    if (shown !== undefined) {
      shown.endedMs = nowMs;
    }
  }

  /** Carries all bodies on to the time of a frame. */
  update(nowMs: number): void {
    for (const [handle, shown] of this.shown) {
      if (shown.endedMs === null) {
        this.carryOn(shown, nowMs);
      } else {
        shown.drawn = shown.body.fall.fallen;
        if (nowMs - shown.endedMs > LINGER_MS || !this.chunksOf(shown).some((chunk) => this.around.isStale(chunk))) {
          this.shown.delete(handle);
          this.scene.remove(handle);
          continue;
        }
      }
      this.scene.move(handle, shown.drawn / FALL_PARTS, this.lightOn(shown));
    }
  }

  private carryOn(shown: ShownBody, nowMs: number): void {
    const isFree = (step: number) => this.isFree(shown, step);
    let ticks = this.client.ticksSince(shown.tick, nowMs);
    for (let count = 0; ticks >= 1 && count < TICKS_PER_FRAME; count += 1) {
      shown.fall = fallOn(shown.fall, isFree);
      shown.tick += 1n;
      ticks -= 1;
    }
    const next = fallOn(shown.fall, isFree);
    const part = Math.max(0, Math.min(1, ticks));
    const reached = shown.fall.fallen + (next.fallen - shown.fall.fallen) * part;
    // By the rule a body may be a part of a voxel inside the ground before it is found to have met it.
    const whole = Math.floor(reached / FALL_PARTS);
    const place = isFree(whole + 1) ? reached : whole * FALL_PARTS;
    // The server's clock is heard with some delay: a body waits for it rather than going up again.
    shown.drawn = place < shown.drawn && shown.drawn - place < FALL_PARTS ? shown.drawn : place;
    if (shown.drawn > 0 && shown.fall.velocity > 0 && !this.onTheWay.has(shown.body)) {
      this.onTheWay.add(shown.body);
      this.drawnFalling += 1;
    }
  }

  private isFree({ feet, body: { corner } }: ShownBody, step: number): boolean {
    return feet.every(([x, y, z]) => !this.around.isSolid(corner[0] + x, corner[1] + y - step, corner[2] + z));
  }

  /** The light on a body, as in a face's shade: the best there is beside its box. Null where none is known. */
  private lightOn({ body: { corner }, size, drawn }: ShownBody): number | null {
    const low = [corner[0], corner[1] - Math.floor(drawn / FALL_PARTS), corner[2]];
    const middle = low.map((part, axis) => part + (size[axis]! >> 1));
    let [sky, block] = [-1, -1];
    for (const axis of [0, 1, 2]) {
      for (const beyond of [low[axis]! - 1, low[axis]! + size[axis]!]) {
        const [x, y, z] = middle.map((part, other) => (other === axis ? beyond : part)) as [number, number, number];
        const light = this.around.lightAt(x, y, z);
        [sky, block] = [Math.max(sky, light?.sky ?? -1), Math.max(block, light?.block ?? -1)];
      }
    }
    return sky < 0 ? null : (sky << 4) | block;
  }

  /** The chunks in which a body has ended. */
  private chunksOf({ body: { corner, fall }, size: [width, height, depth] }: ShownBody): Position[] {
    const down = Math.floor(fall.fallen / FALL_PARTS);
    const low = chunkOfVoxel([corner[0], corner[1] - down, corner[2]]);
    const high = chunkOfVoxel([corner[0] + width - 1, corner[1] - down + height - 1, corner[2] + depth - 1]);
    const chunks: Position[] = [];
    for (let y = low[1]; y <= high[1]; y += 1) {
      for (let z = low[2]; z <= high[2]; z += 1) {
        for (let x = low[0]; x <= high[0]; x += 1) {
          chunks.push([x, y, z]);
        }
      }
    }
    return chunks;
  }
}

function feetOf({ runs }: HeldBody): Position[] {
  const lowest = new Set<number>();
  const keyOf = (x: number, y: number, z: number) => (y * 64 + z) * 64 + x;
  const voxels = runs.flatMap(({ first: [x, y, z], length }) =>
    Array.from({ length }, (_, step): Position => [x + step, y, z]));
  voxels.forEach(([x, y, z]) => lowest.add(keyOf(x, y, z)));
  return voxels.filter(([x, y, z]) => !lowest.has(keyOf(x, y - 1, z)));
}
