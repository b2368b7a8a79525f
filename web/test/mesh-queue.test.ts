/** The mesh queue: order, answers that come late, and which neighbours an edit touches. */
import { MeshQueue, neighboursOf, neighboursTouched } from "../src/world/mesh-queue.ts";

const READY = { isReady: () => true };

test("edited chunks come first, then the nearest that are ready", () => {
  const queue = new MeshQueue();
  queue.mark([1, 0, 0], false);
  queue.mark([9, 0, 0], true);
  queue.mark([0, 0, 0], false);
  const view = { isReady: ([x]: readonly [number, number, number]) => x !== 0 };
  expect(queue.next([0, 0, 0], view)?.position).toEqual([9, 0, 0]);
  expect(queue.next([0, 0, 0], view)?.position).toEqual([1, 0, 0]);
  expect(queue.next([0, 0, 0], view)).toBeNull();
  expect(queue.next([0, 0, 0], READY)?.position).toEqual([0, 0, 0]);
});

test("an older answer never replaces a newer one", () => {
  const queue = new MeshQueue();
  queue.mark([0, 0, 0], false);
  const older = queue.next([0, 0, 0], READY)!;
  queue.mark([0, 0, 0], true);
  const newer = queue.next([0, 0, 0], READY)!;
  expect(queue.finished(newer.ticket)).toEqual([0, 0, 0]);
  expect(queue.finished(older.ticket)).toBeNull();
  expect([queue.isIdle, queue.meshedCount]).toEqual([true, 1]);
});

test("an answer for a forgotten chunk is dropped", () => {
  const queue = new MeshQueue();
  queue.mark([0, 0, 0], false);
  const task = queue.next([0, 0, 0], READY)!;
  queue.forget([0, 0, 0]);
  expect(queue.finished(task.ticket)).toBeNull();
  expect([queue.isIdle, queue.meshedCount]).toEqual([true, 0]);
});

test("a change inside touches nobody, at a side one neighbour, at a corner seven", () => {
  expect(neighboursTouched([0, 0, 0], Uint16Array.of(5 + 32 * 5 + 1_024 * 5, 3, 1))).toEqual([]);
  expect(neighboursTouched([4, 5, 6], Uint16Array.of(32 * 5 + 1_024 * 5, 1, 1))).toEqual([[3, 5, 6]]);
  expect(neighboursTouched([0, 0, 0], Uint16Array.of(32_767, 1, 1))).toHaveLength(7);
  expect(neighboursOf([0, 0, 0])).toHaveLength(26);
});
