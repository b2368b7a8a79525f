/** Light by chunk as the server tells of it, a byte a voxel: of the sky in the high four bits, of blocks in the low four. */
import { CHUNK_VOXELS, chunkKey, chunkOfVoxel, localIndex, type Position } from "@terrane/client";
import { FACES } from "../mesh/layout.ts";
import { padBytes } from "../mesh/pad.ts";

/** Stands where light is still to come: the full light of the sky. */
const DAYLIGHT = 0xf0;
/** Light on its way down from the sky loses nothing where nothing swallows it. */
const FULL_SKY = 15;
/** Changed voxels whose light is guessed: more of them come from a blast, whose smoke may hide a moment of dark. */
const GUESSES_LIMIT = 4_096;

/** The chunk that a voxel lies in, and its place there. */
function placeOf(x: number, y: number, z: number): readonly [string, number] {
  return [chunkKey(chunkOfVoxel([x, y, z])), localIndex(x, y, z)];
}

/** What is known of light. */
export class LightStore {
  /** Null where the server says that there is none to be known. */
  private readonly values = new Map<string, Uint8Array | null>();

  /** Chunks of which something has come. */
  get size(): number {
    return this.values.size;
  }

  /** Chunks whose light has come. */
  get litCount(): number {
    return [...this.values.values()].filter((values) => values !== null).length;
  }

  /** Whether the light of a chunk has come. */
  has(position: Position): boolean {
    return (this.values.get(chunkKey(position)) ?? null) !== null;
  }

  /** The light of a voxel; null where it has not come. */
  at(x: number, y: number, z: number): number | null {
    const [key, index] = placeOf(x, y, z);
    return this.values.get(key)?.[index] ?? null;
  }

  /** Takes a chunk's light in. Gives the chunks that look otherwise by it: itself, and those beside it at the changed sides. */
  take(position: Position, values: Uint8Array | null): Position[] {
    const before = this.values.get(chunkKey(position)) ?? null;
    this.values.set(chunkKey(position), values);
    if (values === null || (before !== null && values.every((value, index) => value === before[index]))) {
      return [];
    }
    const others = FACES.flatMap(({ axis, sign }) => {
      const beside: Position = [position[0], position[1], position[2]];
      (beside as [number, number, number])[axis] += sign;
      return this.has(beside) && sideDiffers(before, values, axis, sign) ? [beside] : [];
    });
    return [position, ...others];
  }

  /**
   * Guesses the light where voxels have changed, until the server tells: what was solid takes the best of what is beside it,
   * less one, so that a hole that is dug is not black for a moment.
   */
  guess(position: Position, runs: Uint16Array, isOpaque: (block: number) => boolean): void {
    const values = this.values.get(chunkKey(position)) ?? null;
    if (values === null) {
      return;
    }
    const guessed = values.slice();
    let left = GUESSES_LIMIT;
    for (let at = 0; at < runs.length; at += 3) {
      const [first, length, block] = [runs[at]!, runs[at + 1]!, runs[at + 2]!];
      for (let index = first; index < first + length && left > 0; index += 1, left -= 1) {
        guessed[index] = isOpaque(block) ? 0 : Math.max(guessed[index]!, this.bestBeside(position, index));
      }
    }
    this.values.set(chunkKey(position), guessed);
  }

  private bestBeside([cx, cy, cz]: Position, index: number): number {
    const voxel = [cx * 32 + (index & 31), cy * 32 + (index >> 10), cz * 32 + ((index >> 5) & 31)];
    let [sky, block] = [0, 0];
    for (const { axis, sign } of FACES) {
      const beside = voxel.slice();
      beside[axis]! += sign;
      const light = this.at(beside[0]!, beside[1]!, beside[2]!) ?? 0;
      const isAbove = axis === 1 && sign > 0;
      sky = Math.max(sky, isAbove && light >> 4 === FULL_SKY ? FULL_SKY : (light >> 4) - 1);
      block = Math.max(block, (light & 15) - 1);
    }
    return (sky << 4) | block;
  }

  /** A chunk's light with a border of its neighbours'; null if it has not come. */
  padded(position: Position): Uint8Array<ArrayBuffer> | null {
    if (!this.has(position)) {
      return null;
    }
    return padBytes(Array.from({ length: 27 }, (_, place) => this.values.get(chunkKey([
      position[0] + (place % 3) - 1, position[1] + Math.floor(place / 9) - 1, position[2] + (Math.floor(place / 3) % 3) - 1,
    ])) ?? null), DAYLIGHT);
  }

  /** A chunk is gone. */
  forget(position: Position): void {
    this.values.delete(chunkKey(position));
  }

  /** Forgets everything, and gives the chunks whose light had come. */
  clear(): Position[] {
    const lit = [...this.values].filter(([, values]) => values !== null).map(([key]) => key);
    this.values.clear();
    return lit.map((key) => key.split(",").map(Number) as unknown as Position);
  }
}

/** Whether the outermost layer of a chunk is another than before. */
function sideDiffers(before: Uint8Array | null, after: Uint8Array, axis: number, sign: number): boolean {
  const shift = [0, 10, 5][axis]!;
  const edge = sign > 0 ? 31 : 0;
  for (let index = 0; index < CHUNK_VOXELS; index += 1) {
    if (((index >> shift) & 31) === edge && after[index] !== (before === null ? DAYLIGHT : before[index])) {
      return true;
    }
  }
  return false;
}
