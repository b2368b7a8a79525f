/** What the double takes back: runs, what others have built, undos of undos, and what is not meant. */
import { UndoCause, type Position, type UndoRequest } from "@terrane/client";
import { DoubleHistory } from "./double-undo.ts";

const ASK: UndoRequest = { kind: "undoRequest", request: 1, causes: 0, overwrite: false, box: null, by: "", sinceMs: 0n, undo: 0n };
const [AT, NOW]: [Position, number] = [[1, 2, 3], 100_000];

/** A history of one voxel, from air on: who made it what, or the number of the undo that did. */
function historyOf(...changes: readonly (readonly [string | bigint, number])[]): DoubleHistory {
  const history = new DoubleHistory();
  let before = 0;
  changes.forEach(([who, after], index) => {
    const undo = typeof who === "bigint" ? who : 0n;
    history.note(AT, { before, after, name: typeof who === "bigint" ? "" : who, atMs: index * 1_000, undo });
    before = after;
  });
  return history;
}

test.each<[string, readonly (readonly [string | bigint, number])[], Partial<UndoRequest>, number | null, number]>([
  ["a run goes back to what was before it", [["B", 4], ["A", 5], ["A", 6]], { by: "A" }, 4, 0],
  ["an earlier run, with another's change between, does not count", [["A", 5], ["B", 6], ["A", 7]], { by: "A" }, 6, 0],
  ["what somebody else has made since stays", [["A", 5], ["B", 6]], { by: "A" }, null, 1],
  ["or goes back all the same", [["A", 5], ["B", 6]], { by: "A", overwrite: true }, 0, 1],
  ["everybody's goes back at once", [["A", 5], ["B", 6]], {}, 0, 0],
  ["what is older is not meant", [["A", 5], ["A", 6], ["A", 7]], { sinceMs: BigInt(NOW - 1_500) }, 6, 0],
  ["what is outside the box is not meant", [["A", 5]], { box: { first: [1, 2, 4], end: [2, 3, 5] } }, null, 0],
  ["an undo gives back what it took", [["A", 5], [7n, 0]], { undo: 7n }, 5, 0],
  ["an undo does not end a run", [["A", 5], [7n, 0], ["A", 6]], { by: "A" }, 0, 0],
  ["undos alone, if they are meant", [["A", 5], [7n, 0]], { causes: UndoCause.undo }, 5, 0],
  ["blasts: there are none", [["A", 5]], { causes: UndoCause.blast }, null, 0],
])("%s", (_, changes, ask, expected, conflicts) => {
  const { plan, voxels, ghost } = historyOf(...changes).plan({ ...ASK, ...ask }, NOW);
  expect(voxels.map(({ to }) => to)).toEqual(expected === null ? [] : [expected]);
  expect([Number(plan.voxels), Number(plan.conflicts), ghost.length]).toEqual([voxels.length, conflicts, voxels.length]);
});
