/** One chunk of 32×32×32 voxels, held as the wire brings it: one block, or u4, u8 or u16 values. */
import { SnapshotForm } from "./forms.ts";
import type { Position } from "./positions.ts";
import type { Voxels } from "./packed-chunk.ts";
import { CHUNK_VOXELS } from "./limits.ts";

/** The chunk in which a voxel lies. */
export function chunkOfVoxel([x, y, z]: Position): Position {
  return [x >> 5, y >> 5, z >> 5];
}

/** Local index of a voxel in its chunk: x + 32·z + 1024·y. */
export function localIndex(x: number, y: number, z: number): number {
  return (x & 31) | ((z & 31) << 5) | ((y & 31) << 10);
}

/** A map key for a chunk: its 59 bits of position are more than a number holds exactly. */
export function chunkKey([x, y, z]: Position): string {
  return `${x},${y},${z}`;
}

/** A chunk's voxels as columns: a table of block ids and indexes into it, or bare ids. */
export class Chunk {
  private constructor(
    private form: number,
    private table: Uint16Array,
    private bytes: Uint8Array,
    private ids: Uint16Array,
  ) {}

  /** Takes over the table and the voxels of a snapshot, or what `voxels` gave. */
  static fromSnapshot({ form, table, voxels }: Voxels): Chunk {
    const isWide = form === SnapshotForm.u16;
    const ids = isWide ? readIds(voxels) : new Uint16Array(0);
    return new Chunk(form, table, isWide ? new Uint8Array(0) : voxels, ids);
  }

  /** What it holds, to be kept; a copy, so that it stays as it is now. */
  get voxels(): Voxels {
    const wide = new Uint8Array(2 * this.ids.length);
    const view = new DataView(wide.buffer);
    this.ids.forEach((id, index) => view.setUint16(2 * index, id, true));
    const voxels = this.form === SnapshotForm.u16 ? wide : this.bytes.slice();
    return { form: this.form, table: this.table.slice(), voxels };
  }

  /** The block id at a local index. */
  get(index: number): number {
    switch (this.form) {
      case SnapshotForm.uniform:
        return this.table[0]!;
      case SnapshotForm.u4:
        return this.table[(this.bytes[index >> 1]! >> ((index & 1) << 2)) & 15]!;
      case SnapshotForm.u8:
        return this.table[this.bytes[index]!]!;
      default:
        return this.ids[index]!;
    }
  }

  /** The one block that fills the chunk, or null. */
  get uniform(): number | null {
    return this.form === SnapshotForm.uniform ? this.table[0]! : null;
  }

  /** Writes runs of (first local index, length, block id), checked by the decoder. */
  applyRuns(runs: Uint16Array): void {
    for (let at = 0; at < runs.length; at += 3) {
      this.fill(runs[at]!, runs[at + 1]!, runs[at + 2]!);
    }
  }

  /** All block ids in local-index order. */
  decode(target: Uint16Array = new Uint16Array(CHUNK_VOXELS)): Uint16Array {
    const { table, bytes } = this;
    switch (this.form) {
      case SnapshotForm.uniform:
        return target.fill(table[0]!);
      case SnapshotForm.u4:
        for (let index = 0; index < bytes.length; index += 1) {
          target[2 * index] = table[bytes[index]! & 15]!;
          target[2 * index + 1] = table[bytes[index]! >> 4]!;
        }
        return target;
      case SnapshotForm.u8:
        for (let index = 0; index < bytes.length; index += 1) {
          target[index] = table[bytes[index]!]!;
        }
        return target;
      default:
        target.set(this.ids);
        return target;
    }
  }

  private fill(first: number, length: number, block: number): void {
    const entry = this.form === SnapshotForm.u16 ? block : this.entryFor(block);
    if (this.form === SnapshotForm.u16) {
      this.ids.fill(block, first, first + length);
    } else if (this.form === SnapshotForm.u8) {
      this.bytes.fill(entry, first, first + length);
    } else if (this.form === SnapshotForm.u4) {
      for (let index = first; index < first + length; index += 1) {
        const shift = (index & 1) << 2;
        this.bytes[index >> 1] = (this.bytes[index >> 1]! & ~(15 << shift)) | (entry << shift);
      }
    }
  }

  /** The block's index in the table; widens the form where the table has no room for it. */
  private entryFor(block: number): number {
    const found = this.table.indexOf(block);
    if (found >= 0) {
      return found;
    }
    const room = { [SnapshotForm.uniform]: 1, [SnapshotForm.u4]: 16 }[this.form] ?? 256;
    if (this.table.length >= room) {
      this.widen();
    }
    if (this.form === SnapshotForm.u16) {
      return block;
    }
    this.table = Uint16Array.of(...this.table, block);
    return this.table.length - 1;
  }

  private widen(): void {
    if (this.form === SnapshotForm.uniform) {
      this.form = SnapshotForm.u4;
      this.bytes = new Uint8Array(CHUNK_VOXELS / 2);
    } else if (this.form === SnapshotForm.u4) {
      const wider = new Uint8Array(CHUNK_VOXELS);
      this.bytes.forEach((byte, index) => {
        wider[2 * index] = byte & 15;
        wider[2 * index + 1] = byte >> 4;
      });
      this.form = SnapshotForm.u8;
      this.bytes = wider;
    } else {
      this.ids = this.decode();
      this.form = SnapshotForm.u16;
      this.bytes = new Uint8Array(0);
    }
  }
}

function readIds(voxels: Uint8Array): Uint16Array {
  const view = new DataView(voxels.buffer, voxels.byteOffset, voxels.byteLength);
  return Uint16Array.from({ length: CHUNK_VOXELS }, (_, index) => view.getUint16(2 * index, true));
}

/** The smallest form that holds the given 32,768 block ids. Used by servers and doubles. */
export function packVoxels(ids: Uint16Array): Voxels {
  const table = Uint16Array.from(new Set(ids));
  if (table.length === 1) {
    return { form: SnapshotForm.uniform, table, voxels: new Uint8Array(0) };
  }
  if (table.length > 256) {
    const voxels = new Uint8Array(2 * CHUNK_VOXELS);
    const view = new DataView(voxels.buffer);
    ids.forEach((id, index) => view.setUint16(2 * index, id, true));
    return { form: SnapshotForm.u16, table: new Uint16Array(0), voxels };
  }
  const entries = new Map(Array.from(table, (id, entry) => [id, entry] as const));
  const indexes = Uint8Array.from(ids, (id) => entries.get(id)!);
  if (table.length > 16) {
    return { form: SnapshotForm.u8, table, voxels: indexes };
  }
  const voxels = new Uint8Array(CHUNK_VOXELS / 2);
  indexes.forEach((entry, index) => {
    voxels[index >> 1]! |= entry << ((index & 1) << 2);
  });
  return { form: SnapshotForm.u4, table, voxels };
}
