/** Chunks kept in IndexedDB: a database of the page's own, a record a chunk. */
import type { Position } from "@terrane/client";
import { isWhole, MAX_KEPT_CHUNKS, type CacheDoor, type KeptChunk, type KeptEntry } from "./chunk-cache.ts";

const DATABASE = "terrane-chunks";
/** Raised whenever records mean something else; what was kept before is dropped then. */
const SCHEMA = 1;
const STORE = "chunks";

interface StoredChunk extends KeptChunk {
  readonly world: string;
  readonly writtenAt: number;
}

/** The first and the last key of a world. */
function worldRange(world: string): IDBKeyRange {
  return IDBKeyRange.bound([world], [world, []]);
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    transaction.onerror = () => reject(transaction.error);
  });
}

/** The browser's own storage; null where there is none, as in some private windows. */
export function browserCache(): CacheDoor | null {
  return typeof indexedDB === "undefined" ? null : new DatabaseDoor();
}

class DatabaseDoor implements CacheDoor {
  private readonly database = this.open();

  private async open(): Promise<IDBDatabase> {
    const request = indexedDB.open(DATABASE, SCHEMA);
    request.onupgradeneeded = () => {
      const { result } = request;
      [...result.objectStoreNames].forEach((name) => result.deleteObjectStore(name));
      result.createObjectStore(STORE, { keyPath: ["world", "position"] }).createIndex("writtenAt", ["world", "writtenAt"]);
    };
    const database = await answered(request);
    // Another tab wants another schema: it must not wait for this one.
    database.onversionchange = () => database.close();
    return database;
  }

  private async store(mode: IDBTransactionMode): Promise<[IDBObjectStore, IDBTransaction]> {
    const transaction = (await this.database).transaction(STORE, mode, { durability: "relaxed" });
    return [transaction.objectStore(STORE), transaction];
  }

  /** Where other worlds take a lot of room, they are dropped. */
  private async dropOthers(world: string): Promise<void> {
    const [store, transaction] = await this.store("readwrite");
    const [all, own] = await Promise.all([answered(store.count()), answered(store.count(worldRange(world)))]);
    if (all - own > MAX_KEPT_CHUNKS) {
      store.delete(IDBKeyRange.upperBound([world], true));
      store.delete(IDBKeyRange.lowerBound([world, []], true));
    }
    await finished(transaction);
  }

  async list(world: string): Promise<readonly KeptEntry[]> {
    await this.dropOthers(world);
    const [store] = await this.store("readonly");
    // Of each the time stands in the index's key, so that no voxels are read.
    const entries: KeptEntry[] = [];
    const request = store.index("writtenAt").openKeyCursor(worldRange(world));
    await new Promise<void>((resolve, reject) => {
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const cursor = request.result;
        if (cursor === null) {
          resolve();
          return;
        }
        const [, writtenAt] = cursor.key as [string, number];
        const [, position] = cursor.primaryKey as unknown as [string, Position];
        entries.push({ position, writtenAt });
        cursor.continue();
      };
    });
    return entries;
  }

  async read(world: string, positions: readonly Position[]): Promise<readonly KeptChunk[]> {
    const [store] = await this.store("readonly");
    const found = positions.map((position) => answered<StoredChunk | undefined>(store.get([world, [...position]])));
    return (await Promise.all(found)).filter((chunk) => chunk !== undefined && isWhole(chunk)) as StoredChunk[];
  }

  async write(world: string, chunks: readonly KeptChunk[], writtenAt: number): Promise<void> {
    const [store, transaction] = await this.store("readwrite");
    chunks.forEach((chunk) => store.put({ ...chunk, position: [...chunk.position], world, writtenAt }));
    await finished(transaction);
  }

  async remove(world: string, positions: readonly Position[]): Promise<void> {
    const [store, transaction] = await this.store("readwrite");
    positions.forEach((position) => store.delete([world, [...position]]));
    await finished(transaction);
  }
}
