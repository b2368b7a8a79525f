/** The mesher against brute force: each visible face once, with the right block and the right shade. */
import {
  DrawClass, FACES, PADDED_SIDE, PADDED_STEP, PADDED_VOXELS, ShadeMode, UNKNOWN_BLOCK, unpackQuad, type Quad,
} from "../src/mesh/layout.ts";
import { meshChunk } from "../src/mesh/mesher.ts";

const CLASSES = Uint8Array.of(
  DrawClass.nothing, DrawClass.filled, DrawClass.filled, DrawClass.liquid, DrawClass.glass, DrawClass.plant,
);

/** A small deterministic generator (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function paddedFrom(block: (x: number, y: number, z: number) => number): Uint16Array {
  const voxels = new Uint16Array(PADDED_VOXELS);
  for (let index = 0; index < PADDED_VOXELS; index += 1) {
    voxels[index] = block(index % 34, Math.floor(index / 1_156), Math.floor(index / 34) % 34);
  }
  return voxels;
}

const classOf = (block: number) => CLASSES[block] ?? DrawClass.nothing;

function isVisible(own: number, other: number): boolean {
  const [ownClass, otherClass] = [classOf(own), classOf(other)];
  const hides = other === UNKNOWN_BLOCK || otherClass === DrawClass.filled;
  return !hides && (ownClass === DrawClass.filled || ownClass !== otherClass);
}

/** Shade of the corner at (cu, cv) ∈ {0, 1}² of a face, straight from the definition. */
function shade(voxels: Uint16Array, index: number, direction: number, cu: number, cv: number): number {
  const { axis, sign, u, v } = FACES[direction]!;
  const front = index + sign * PADDED_STEP[axis];
  const blocks = (at: number) => classOf(voxels[at]!) === DrawClass.filled;
  const [stepU, stepV] = [(2 * cu - 1) * PADDED_STEP[u], (2 * cv - 1) * PADDED_STEP[v]];
  if (blocks(front + stepU) && blocks(front + stepV)) {
    return 0;
  }
  return 3 - [front + stepU, front + stepV, front + stepU + stepV].filter(blocks).length;
}

const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]] as const;

/** "direction:padded index" → "block:shades" of each face that must be drawn. */
function bruteForce(voxels: Uint16Array): Map<string, string> {
  const faces = new Map<string, string>();
  for (let index = 0; index < PADDED_VOXELS; index += 1) {
    const place = [index % 34, Math.floor(index / 1_156), Math.floor(index / 34) % 34];
    const block = voxels[index]!;
    const drawn: readonly number[] = [DrawClass.filled, DrawClass.liquid, DrawClass.glass];
    if (place.some((value) => value < 1 || value > 32) || !drawn.includes(classOf(block))) {
      continue;
    }
    FACES.forEach(({ axis, sign }, direction) => {
      if (isVisible(block, voxels[index + sign * PADDED_STEP[axis]]!)) {
        const shades = CORNERS.map(([cu, cv]) => shade(voxels, index, direction, cu, cv));
        faces.set(`${direction}:${index}`, `${block}:${shades.join("")}`);
      }
    });
  }
  return faces;
}

/** The same from quads; a face that is covered twice throws. */
function facesOf(words: Uint32Array, faces: Map<string, string>): void {
  for (let at = 0; at < words.length; at += 2) {
    const quad = unpackQuad(words[at]!, words[at + 1]!);
    if (quad.direction >= FACES.length) {
      continue;
    }
    const { u, v } = FACES[quad.direction]!;
    const base = 1 + 34 + 1_156 + quad.origin.reduce((sum, value, axis) => sum + value * PADDED_STEP[axis]!, 0);
    for (let i = 0; i < quad.width; i += 1) {
      for (let j = 0; j < quad.height; j += 1) {
        const key = `${quad.direction}:${base + i * PADDED_STEP[u] + j * PADDED_STEP[v]}`;
        if (faces.has(key)) {
          throw new Error(`face ${key} is covered twice`);
        }
        faces.set(key, `${quad.block}:${cornerShades(quad.occlusion, i, j, quad.width, quad.height).join("")}`);
      }
    }
  }
}

/** Bilinear shade at the corners of cell (i, j) of a quad. */
function cornerShades(corners: readonly number[], i: number, j: number, width: number, height: number): number[] {
  return CORNERS.map(([cu, cv]) => {
    const [s, t] = [(i + cu) / width, (j + cv) / height];
    const low = corners[0]! * (1 - s) + corners[1]! * s;
    const high = corners[3]! * (1 - s) + corners[2]! * s;
    return Math.round((low * (1 - t) + high * t) * 1_000) / 1_000;
  });
}

function check(voxels: Uint16Array): number {
  const mesh = meshChunk(voxels, CLASSES);
  const found = new Map<string, string>();
  facesOf(mesh.filled, found);
  facesOf(mesh.translucent, found);
  const expected = bruteForce(voxels);
  expect(found.size).toBe(expected.size);
  expect([...expected].filter(([key, value]) => found.get(key) !== value)).toEqual([]);
  return (mesh.filled.length + mesh.translucent.length) / 2;
}

const terrain = (seed: number) => (x: number, y: number, z: number) => {
  const height = 14 + 6 * Math.sin((x + seed) / 6) + 5 * Math.cos((z - seed) / 5);
  if (y < height) {
    return y > height - 2 ? 2 : 1;
  }
  return y < 14 ? 3 : 0;
};

test.each([0.02, 0.2, 0.5, 0.8, 0.98])("random chunks, %f full", (share) => {
  const random = randomFrom(share * 1_000);
  check(paddedFrom(() => (random() < share ? 1 + Math.floor(random() * 5) : 0)));
});

test.each([1, 7, 40])("terrain-like chunks, seed %i", (seed) => {
  const voxels = paddedFrom(terrain(seed));
  const quadCount = check(voxels);
  expect(quadCount).toBeLessThan(0.8 * bruteForce(voxels).size);
});

test("chunks that are not held hide faces and cast no shade", () => {
  const random = randomFrom(5);
  const isBorder = (value: number) => value === 0 || value === 33;
  check(paddedFrom((x, y, z) => {
    return isBorder(x) || isBorder(y) || isBorder(z) ? UNKNOWN_BLOCK : Math.floor(random() * 4);
  }));
});

test("a full chunk in the open is six quads", () => {
  const isInner = (value: number) => value > 0 && value < 33;
  expect(check(paddedFrom((x, y, z) => (isInner(x) && isInner(y) && isInner(z) ? 1 : 0)))).toBe(6);
});

test("a plant is two crossed quads from both sides", () => {
  const voxels = paddedFrom((x, y, z) => (x === 4 && y === 5 && z === 6 ? 5 : 0));
  const { filled, translucent } = meshChunk(voxels, CLASSES);
  expect([filled.length / 2, translucent.length]).toEqual([4, 0]);
  expect(unpackQuad(filled[0]!, filled[1]!)).toMatchObject({ origin: [3, 4, 5], direction: 6, block: 5 });
});

test("each face carries the shade of its voxel, and faces of different shades don't merge", () => {
  const [voxels, values] = [new Uint16Array(PADDED_VOXELS), new Uint8Array(PADDED_VOXELS)];
  const at = (x: number) => x + 1 + PADDED_SIDE * (1 + PADDED_SIDE);
  [0, 1, 2, 3].forEach((x) => {
    voxels[at(x)] = 1;
    values[at(x)] = x < 2 ? 9 : 255;
  });
  const { filled } = meshChunk(voxels, Uint8Array.of(DrawClass.nothing, DrawClass.filled), { mode: ShadeMode.support, values });
  const tops: Quad[] = [];
  for (let word = 0; word < filled.length; word += 2) {
    const quad = unpackQuad(filled[word]!, filled[word + 1]!);
    if (quad.direction === 2) {
      tops.push(quad);
    }
  }
  expect(tops.map(({ origin, width, shade, block }) => [origin[0], width, shade, block])).toEqual([[0, 2, 9, 1], [2, 2, 255, 1]]);
});

test("by light, each face carries that of the voxel it looks into, and a plant that of its own", () => {
  const [voxels, values] = [new Uint16Array(PADDED_VOXELS), new Uint8Array(PADDED_VOXELS)];
  const at = (x: number, y: number, z: number) => x + 1 + PADDED_SIDE * (z + 1 + PADDED_SIDE * (y + 1));
  values.forEach((_, index) => {
    values[index] = index % 251;
  });
  [voxels[at(0, 4, 31)], voxels[at(7, 7, 7)], voxels[at(20, 20, 20)]] = [1, 3, 5];
  const mesh = meshChunk(voxels, CLASSES, { mode: ShadeMode.light, values });
  const quads = [...quadsOf(mesh.filled), ...quadsOf(mesh.translucent)];
  expect(quads.length).toBe(6 + 4 + 6);
  for (const { origin: [x, y, z], direction, shade: value } of quads) {
    const face = FACES[direction];
    const front = face === undefined ? 0 : face.sign * PADDED_STEP[face.axis];
    expect(value, `direction ${direction} at ${x}, ${y}, ${z}`).toBe((at(x, y, z) + front) % 251);
  }
});

test("faces that look into equal light merge, whatever their own voxels have", () => {
  const [voxels, values] = [new Uint16Array(PADDED_VOXELS), new Uint8Array(PADDED_VOXELS).fill(0xf0)];
  const at = (x: number) => x + 1 + PADDED_SIDE * (6 + PADDED_SIDE * 6);
  [0, 1, 2, 3].forEach((x) => {
    [voxels[at(x)], values[at(x)]] = [1, x];
  });
  values[at(3) + PADDED_STEP[1]] = 0xe0;
  const tops = quadsOf(meshChunk(voxels, CLASSES, { mode: ShadeMode.light, values }).filled).filter(({ direction }) => direction === 2);
  expect(tops.map(({ origin, width, shade: value }) => [origin[0], width, value])).toEqual([[0, 3, 0xf0], [3, 1, 0xe0]]);
});

function quadsOf(words: Uint32Array): Quad[] {
  return Array.from({ length: words.length / 2 }, (_, at) => unpackQuad(words[2 * at]!, words[2 * at + 1]!));
}
