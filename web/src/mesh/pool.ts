/** A small pool of meshing workers; each has a bounded number of chunks in its hands. */
import type { ChunkMesh, Shade } from "./layout.ts";

/** What a worker is told. */
export type MeshTask =
  | { readonly kind: "classes"; readonly classes: Uint8Array<ArrayBuffer> }
  | {
      readonly kind: "mesh";
      readonly ticket: number;
      readonly voxels: Uint16Array<ArrayBuffer>;
      readonly shade: Shade | null;
    };

/** What a worker says. */
export interface MeshAnswer {
  readonly ticket: number;
  readonly mesh: ChunkMesh;
  /** See ShadeMode. */
  readonly mode: number;
}

/** Chunks that one worker may hold, so that an edited chunk never waits behind a long queue. */
const CHUNKS_PER_WORKER = 3;

/** Hands chunks to workers. */
export class MeshPool {
  private readonly workers: { readonly worker: Worker; busy: number }[];

  constructor(workerCount: number, private readonly onMesh: (answer: MeshAnswer) => void) {
    this.workers = Array.from({ length: workerCount }, () => this.start());
  }

  /** Whether a worker would take a chunk now. */
  get hasRoom(): boolean {
    return this.workers.some(({ busy }) => busy < CHUNKS_PER_WORKER);
  }

  /** Tells all workers how blocks are drawn; holds for chunks handed over later. */
  setClasses(classes: Uint8Array<ArrayBuffer>): void {
    for (const { worker } of this.workers) {
      worker.postMessage({ kind: "classes", classes } satisfies MeshTask);
    }
  }

  /** Hands a padded chunk to the least busy worker; the arrays are gone for the caller. */
  mesh(ticket: number, voxels: Uint16Array<ArrayBuffer>, shade: Shade | null): void {
    const slot = this.workers.reduce((least, other) => (other.busy < least.busy ? other : least));
    slot.busy += 1;
    const task: MeshTask = { kind: "mesh", ticket, voxels, shade };
    slot.worker.postMessage(task, shade === null ? [voxels.buffer] : [voxels.buffer, shade.values.buffer]);
  }

  private start(): { worker: Worker; busy: number } {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    const slot = { worker, busy: 0 };
    worker.onmessage = ({ data }: MessageEvent<MeshAnswer>) => {
      slot.busy -= 1;
      this.onMesh(data);
    };
    return slot;
  }
}
