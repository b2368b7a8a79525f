/** What is drawn of fields and ways: cells of a chunk, arrows, colours of costs, pieces of lines. */
import { BlockFlag, Chunk, CHUNK_VOXELS, EXITS, FieldMove, localIndex, packVoxels, type FieldPart, type Position } from "@terrane/client";
import { laneOf, wayPieces } from "../src/render/way-scene.ts";
import { rampColor, rampEnd, rampGradient } from "../src/world/cost-ramp.ts";
import { arrowAt, CellKind, CellPlace, fieldCells, type CellChunk, type CellColumn } from "../src/world/field-cells.ts";
import { colorParts, modeColor } from "../src/world/mode-look.ts";

const [AIR, STONE, WATER] = [0, 1, 2];
const FLAGS = [0, BlockFlag.solid, BlockFlag.liquid];
const NOTHING: CellChunk = { part: null, blocks: null };
const exitOf = (step: Position) => EXITS.findIndex((exit) => exit.every((part, axis) => part === step[axis]));

function blocks(voxels: Readonly<Record<string, number>>, rest = AIR): Chunk {
  const ids = new Uint16Array(CHUNK_VOXELS).fill(rest);
  Object.entries(voxels).forEach(([place, id]) => {
    ids[localIndex(...(place.split(",").map(Number) as unknown as Position))] = id;
  });
  return Chunk.fromSnapshot(packVoxels(ids));
}

function part(moves: Readonly<Record<string, number>>, cost = 0): FieldPart {
  const made = { moves: new Uint8Array(CHUNK_VOXELS).fill(FieldMove.blocked), costs: new Uint32Array(CHUNK_VOXELS) };
  Object.entries(moves).forEach(([place, move]) => {
    const index = localIndex(...(place.split(",").map(Number) as unknown as Position));
    made.moves[index] = move;
    made.costs[index] = move < EXITS.length ? cost : 0;
  });
  return made;
}

function column(more: Partial<CellColumn>): CellColumn {
  return { above: NOTHING, here: NOTHING, below: NOTHING, flags: FLAGS, layer: null, ...more };
}

/** Cells, unpacked. */
function shown(cells: Uint32Array) {
  return Array.from({ length: cells.length / 2 }, (_, at) => {
    const word = cells[2 * at]!;
    const bits = (shift: number, count: number) => (word >>> shift) & ((1 << count) - 1);
    return {
      voxel: [bits(0, 5), bits(5, 5), bits(10, 5)], kind: bits(15, 3), arrow: [bits(18, 2) - 1, bits(22, 2) - 1, bits(20, 2) - 1],
      place: bits(24, 2), cost: cells[2 * at + 1],
    };
  });
}

test("cells lie on floors and on water, and say move, goal, no way and too far apart", () => {
  const east = exitOf([1, 0, 0]);
  const here = {
    blocks: blocks({ "3,4,5": STONE, "4,4,5": STONE, "5,4,5": STONE, "6,4,5": STONE, "9,9,9": WATER, "9,8,9": WATER }),
    part: part({
      "3,5,5": east, "4,5,5": FieldMove.goal, "5,5,5": FieldMove.tooFar, "6,5,5": FieldMove.unreachable,
      "3,6,5": east, "3,4,5": east, "9,9,9": east, "9,8,9": east,
    }, 42),
  };
  expect(shown(fieldCells(column({ here })))).toEqual([
    { voxel: [3, 5, 5], kind: CellKind.move, arrow: [1, 0, 0], place: CellPlace.floor, cost: 42 },
    { voxel: [4, 5, 5], kind: CellKind.goal, arrow: [0, 0, 0], place: CellPlace.floor, cost: 0 },
    { voxel: [5, 5, 5], kind: CellKind.tooFar, arrow: [0, 0, 0], place: CellPlace.floor, cost: 0 },
    { voxel: [6, 5, 5], kind: CellKind.unreachable, arrow: [0, 0, 0], place: CellPlace.floor, cost: 0 },
    { voxel: [9, 9, 9], kind: CellKind.move, arrow: [1, 0, 0], place: CellPlace.surface, cost: 42 },
  ]);
  const inLayer = shown(fieldCells(column({ here, layer: 6 })));
  expect(inLayer.filter(({ place }) => place === CellPlace.layer).map(({ voxel }) => voxel)).toEqual([[3, 6, 5]]);
});

test("a floor may be the chunk below, and nothing is shown of a chunk whose blocks are not held", () => {
  const here = { blocks: blocks({}), part: part({ "7,0,8": 0 }) };
  const below = { blocks: blocks({}, STONE), part: null };
  expect(shown(fieldCells(column({ here, below }))).map(({ voxel }) => voxel)).toEqual([[7, 0, 8]]);
  expect(fieldCells(column({ here })).length).toBe(0);
  expect(fieldCells(column({ here: { ...here, blocks: null }, below })).length).toBe(0);
});

test("an arrow shows where the way goes on to the side, also above the chunk", () => {
  const [up, down, north] = [exitOf([0, 1, 0]), exitOf([0, -1, 0]), exitOf([0, 0, -1])];
  const here = { blocks: blocks({}), part: part({ "1,30,1": up, "1,31,1": up, "2,5,2": down, "2,4,2": down, "3,3,3": exitOf([-1, -1, 1]) }) };
  const above = { blocks: blocks({}), part: part({ "1,0,1": north }) };
  expect(arrowAt(column({ here, above }), 1, 30, 1)).toEqual([0, 1, -1]);
  expect(arrowAt(column({ here }), 1, 30, 1)).toEqual([0, 1, 0]);
  expect(arrowAt(column({ here }), 2, 5, 2)).toEqual([0, -1, 0]);
  expect(arrowAt(column({ here }), 3, 3, 3)).toEqual([-1, -1, 1]);
});

test("costs go from bright to dark without a step back, and the ramp ends where most of them do", () => {
  const brightness = Array.from({ length: 101 }, (_, at) => {
    const [red, green, blue] = rampColor(at / 100);
    return 0.21 * red + 0.72 * green + 0.07 * blue;
  });
  brightness.slice(1).forEach((value, at) => expect(value).toBeLessThanOrEqual(brightness[at]! + 0.5));
  expect([rampColor(0), rampColor(1), rampColor(7)]).toEqual([[240, 249, 33], [13, 8, 135], [13, 8, 135]]);
  expect(rampGradient()).toMatch(/^linear-gradient\(to right, #f0f921, .*#0d0887\)$/);
  const costs = [...Array.from({ length: 990 }, (_, at) => at), ...Array(10).fill(1_000_000)] as number[];
  expect([rampEnd(costs), rampEnd([]), rampEnd([0]), rampEnd([7]), rampEnd([1_234])]).toEqual([950, 1, 1, 7, 1_300]);
});

test("modes that are built in have their colours, others have some", () => {
  expect(new Set(["ground", "fly", "tunnel", "mole", "rover"].map(modeColor)).size).toBe(5);
  expect(colorParts("#ff8000").map((value) => Math.round(value * 255))).toEqual([255, 128, 0]);
});

test("a way leads through the middles of its voxels in short pieces, each mode in a lane of its own", () => {
  const pieces = wayPieces([[1_000_000_000, 5, 3], [1_000_000_040, 5, 3], [1_000_000_040, 6, 3]], [1_000_000_000, 5, 3], [0, 0, 0]);
  expect(pieces.length / 6).toBe(4);
  expect([...pieces.slice(0, 3)]).toEqual([0.5, 0.5, 0.5]);
  expect([...pieces.slice(-3)]).toEqual([40.5, 1.5, 0.5]);
  expect(new Set(Array.from({ length: 9 }, (_, place) => laneOf(place).join())).size).toBe(9);
});
