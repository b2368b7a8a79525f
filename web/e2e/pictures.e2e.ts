/** Pictures from several places, for people to look at; PICTURES names places as `name=query` split at spaces. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { lookAt, openBrowser, openViewer, pixels, RESULTS, screenshot, settled } from "./browser.ts";
import { firmGroundNear, type Place } from "./places.ts";
import { makeServer } from "./servers.ts";

const PLACES = process.env["PICTURES"]?.split(" ").map((place) => place.split(/=(.*)/s) as [string, string]) ?? [
  ["valley", "at=0,112,0&look=215,-18&distance=10"],
  ["shore", "at=0,80,0&look=120,-10&distance=8"],
  ["above", "at=40,150,40&look=40,-35&distance=10"],
];

test.each(PLACES)("%s", async (name, query) => {
  const server = makeServer(7_785);
  const browser = await openBrowser(1_120, 630);
  const faults: string[] = [];
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?${query}&test=1&fly=1`, faults);
    await settled(page);
    await page.waitForTimeout(1_500);
    await screenshot(page, name);
    expect(new Set(await pixels(page)).size).toBeGreaterThan(200);
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
    await server.dispose();
  }
});

/** What the canvas shows when something is on its way down, or after ten seconds; without the display around it. */
async function shotOfFall(page: Page, name: string, afterMs: number): Promise<void> {
  const data = await page.evaluate((wait) => new Promise<string>((resolve) => {
    const until = performance.now() + 10_000;
    const look = () => {
      if (window.terrane.state().bodies.falling > 0 || performance.now() > until) {
        setTimeout(() => requestAnimationFrame(() => resolve(document.querySelector<HTMLCanvasElement>("#view")!.toDataURL())), wait);
      } else {
        requestAnimationFrame(look);
      }
    };
    look();
  }), afterMs);
  writeFileSync(join(RESULTS, `${name}.png`), Buffer.from(data.split(",")[1]!, "base64"));
}

/** A tower of bricks with floors of planks, 24 voxels high. */
async function buildTower(page: Page, place: Place): Promise<void> {
  await page.evaluate(async ([x, y, z]) => {
    for (let step = 0; step < 24 * 25; step += 1) {
      const [dx, dy, dz] = [(step % 5) - 2, Math.floor(step / 25), (Math.floor(step / 5) % 5) - 2];
      if (Math.max(Math.abs(dx), Math.abs(dz)) === 2 || dy % 8 === 7) {
        window.terrane.edit(x + dx, y + dy, z + dz, dy % 8 === 7 ? "oak_planks" : "stone_bricks");
      }
      if (step % 200 === 199) {
        await new Promise((resolve) => setTimeout(resolve, 3_000));
      }
    }
  }, place);
}

/** FALL names what is bombed: `at=x,y,z&look=yaw,pitch` and bombs `x,y,z,power`; TOWER a place to build a tower on before. */
test.skipIf(process.env["FALL"] === undefined)("a blast and what falls after it, then its support", async () => {
  const [query, ...bombs] = process.env["FALL"]!.split(" ");
  const server = makeServer(7_789);
  const browser = await openBrowser(720, 405);
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?${query}&test=1&fly=1&distance=4`, []);
    await settled(page);
    if (process.env["TOWER"] !== undefined) {
      await buildTower(page, process.env["TOWER"].split(",").map(Number) as unknown as Place);
    }
    await page.waitForTimeout(4_000);
    await settled(page);
    await screenshot(page, "fall-before");
    await page.evaluate((list) => list.forEach((bomb) => {
      const [x, y, z, power] = bomb.split(",").map(Number);
      window.terrane.blast(x!, y!, z!, power!);
    }), bombs);
    for (const [index, afterMs] of [0, 0, 0, 0].entries()) {
      await shotOfFall(page, `fall-${index}`, afterMs);
    }
    await page.waitForTimeout(4_000);
    await settled(page);
    await screenshot(page, "fall-after");
    await page.keyboard.press("v");
    await page.waitForFunction(() => window.terrane.state().supportChunks > 100, undefined, { timeout: 240_000 });
    await page.waitForTimeout(2_000);
    await settled(page);
    await screenshot(page, "fall-support");
  } finally {
    await browser.close();
    await server.dispose();
  }
});

/** A hall under the ground, its middle at a place on the surface: pillars with lamps, and a hole in the far end of its roof. */
async function digHall(page: Page, place: Place): Promise<void> {
  await page.evaluate(async ([px, py, pz]) => {
    const [width, height, length] = [8, 8, 13];
    const blockAt = (dx: number, dy: number, dz: number) => {
      const isPillar = Math.abs(dx) === 5 && (dz + 18) % 6 === 3;
      const isWall = Math.abs(dx) === width || Math.abs(dz) === length || dy === 0 || dy === height;
      const isHole = Math.abs(dx) <= 1 && Math.abs(dz + 7) <= 1 && dy >= height;
      const isLamp = isPillar && dy === 3 && dz > -6;
      return isLamp ? "glowstone" : isPillar && !isHole ? "stone_bricks" : isHole ? "air" : dy > height ? null : isWall ? "stone" : "air";
    };
    let count = 0;
    // What holds the roof comes before what is taken from under it.
    for (const isDigging of [false, true]) {
      for (let dy = 28; dy >= 0; dy -= 1) {
        for (let dz = -length; dz <= length; dz += 1) {
          for (let dx = -width; dx <= width; dx += 1) {
            const [block, place] = [blockAt(dx, dy, dz), [px + dx, py - 20 + dy, pz + dz] as const];
            if (block === null || (block === "air") !== isDigging || window.terrane.block(...place) === block) {
              continue;
            }
            window.terrane.edit(...place, block);
            count += 1;
            if (count % 400 === 0) {
              await new Promise((resolve) => setTimeout(resolve, 1_000));
            }
          }
        }
      }
    }
  }, place);
  await page.waitForFunction(() => window.terrane.state().unacknowledged === 0, undefined, { timeout: 240_000 });
}

/** HALL: 1 takes it. */
test.skipIf(process.env["HALL"] === undefined)("a hall under the ground, by the light of lamps and of the day", async () => {
  const server = makeServer(7_795);
  const browser = await openBrowser(1_120, 630);
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?test=1&fly=1&distance=3`, []);
    await settled(page);
    const spawn = await page.evaluate(() => window.terrane.state().position);
    const place = await firmGroundNear(page, [Math.floor(spawn[0]), 0, Math.floor(spawn[2])]);
    await digHall(page, place);
    await page.evaluate(([x, y, z]) => window.terrane.teleport(x + 1.2, y - 17.2, z + 11, -6, -4), place);
    await page.waitForTimeout(8_000);
    await settled(page);
    await screenshot(page, "light");
  } finally {
    await browser.close();
    await server.dispose();
  }
});

/** Takes a tool in hand and clicks the middle of the view, from each pair of feet and of what is looked at. */
async function clickWith(page: Page, key: string, looks: readonly (readonly [feet: Place, at: Place])[]): Promise<void> {
  await page.keyboard.press(key);
  for (const [feet, at] of looks) {
    await lookAt(page, at, feet);
    const { width, height } = page.viewportSize()!;
    await page.mouse.click(width / 2, height / 2);
  }
}

async function jpeg(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(RESULTS, `${name}.jpg`), type: "jpeg", quality: 84, timeout: 240_000 });
}

/** Where the pictures of docs/paths.md are taken: a bank of earth on a slope of a new world of seed 7, seen along its crest. */
const BANK = ["-120,56,-34:-116,80,-2=dirt", "-120,80,-34:-116,81,-2=grass_block"].flatMap((fill) => ["--fill", fill]);
const WAYS = { start: [-131, 66, -22], goal: [-105, 72, -20], feet: [-127, 87, -54], at: [-117, 70, -22] } as const;

/** Where to stand to click the floor of a voxel, and where to look. */
const above = ([x, y, z]: Place) => [[x + 0.5, y + 5, z + 1.5], [x + 0.5, y, z + 0.5]] as const;

/** WAYS: 1 takes them. */
test.skipIf(process.env["WAYS"] === undefined)("ways and a field, as the viewer shows them", async () => {
  const server = makeServer(7_801, [["new", "--seed", "7", "--physics", "off"], ["edit", ...BANK]]);
  const browser = await openBrowser(1_120, 630);
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?test=1&fly=1&distance=4&at=${WAYS.feet.join()}`, []);
    await settled(page);
    await clickWith(page, "p", [above(WAYS.start), above(WAYS.goal)]);
    await page.waitForFunction(() => window.terrane.ways().ways.length > 0 && window.terrane.ways().ways.every(({ text }) => text !== "…"));
    await lookAt(page, WAYS.at, WAYS.feet);
    await jpeg(page, "paths-viewer");
    await page.mouse.click(560, 315, { button: "right" });
    await page.keyboard.press("p");
    await clickWith(page, "g", [above(WAYS.goal)]);
    await page.waitForFunction(() => window.terrane.field().isCurrent && window.terrane.field().waiting === 0, undefined, { timeout: 400_000 });
    await lookAt(page, WAYS.at, WAYS.feet);
    await jpeg(page, "field-viewer");
  } finally {
    await browser.close();
    await server.dispose();
  }
});

/** Something that is built, what brings it down, and from where it is looked at: all relative to firm ground. */
interface Scene {
  readonly build: (readonly [number, number, number, string])[];
  readonly blasts?: (readonly [number, number, number, number])[];
  readonly cut?: (readonly [number, number, number])[];
  readonly eye: readonly [number, number, number, number, number];
  /** What there is to see: bodies, or only a change of the blocks. */
  readonly waitsMs: readonly number[];
}

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, step) => first + step);
}

const SCENES: Record<string, Scene> = {
  // A deck on two piers; three props are taken away from under it, and what is too far from the piers comes down.
  bridge: {
    build: [
      ...[-16, 16, -8, 0, 8].flatMap((x) => range(-12, 15).map((y) => [x, y, 0, "stone_bricks"] as const)),
      ...range(1, 8).flatMap((d) => [-16, -8, 0, 8, 16].flatMap((x) =>
        [x - d, x + d].filter((at) => Math.abs(at) < 16 && d <= 4).map((at) => [at, 14, 0, "oak_planks"] as const))),
    ],
    cut: [-8, 0, 8].flatMap((x) => range(-12, 15).map((y) => [x, y, 0] as const)),
    eye: [0, 16, 34, 0, -12],
    waitsMs: [300, 1_800],
  },
  // Charges in a row over the corner of four columns: each sets off the next.
  chain: {
    build: range(-6, 7).map((step) => [4 * step, 1, 0, "tnt"] as const),
    blasts: [[-24, 1, 0, 100]],
    eye: [0, 16, 30, 0, -26],
    waitsMs: [1_500, 6_000],
  },
  // A hollow tower with floors, cut through near its foot.
  tower: {
    build: range(0, 25 * 25).flatMap((step) => {
      const [x, y, z] = [(step % 5) - 2, Math.floor(step / 25), (Math.floor(step / 5) % 5) - 2];
      const isWall = Math.max(Math.abs(x), Math.abs(z)) === 2;
      return isWall || y % 8 === 7 ? [[x, y, z, y % 8 === 7 ? "oak_planks" : "stone_bricks"] as const] : [];
    }),
    cut: range(0, 75).map((step) => [(step % 5) - 2, 5 + Math.floor(step / 25), (Math.floor(step / 5) % 5) - 2] as const),
    eye: [0, 18, 34, 0, -12],
    waitsMs: [0, 1_600],
  },
};

/** The trunk of a tree near a place: the voxels of its lowest logs. */
async function trunkNear(page: Page, [x, , z]: Place): Promise<Place[]> {
  return page.evaluate(([px, pz]) => {
    const isLog = (at: readonly [number, number, number]) => window.terrane.block(...at)?.endsWith("_log") === true;
    for (let ring = 4; ring < 48; ring += 1) {
      for (let step = 0; step < 8 * ring; step += 1) {
        const [side, along] = [Math.floor(step / (2 * ring)), (step % (2 * ring)) - ring];
        const [dx, dz] = [[along, -ring], [along, ring], [-ring, along], [ring, along]][side]!;
        for (let y = 250; y > 40; y -= 1) {
          const at = [px! + dx!, y, pz! + dz!] as const;
          const below = window.terrane.block(at[0], y - 1, at[2]);
          if (isLog(at) && /^(dirt|grass_block|podzol)/.test(below ?? "") && [1, 2, 3, 4].every((up) => isLog([at[0], y + up, at[2]]))) {
            const around = (reach: number, up: number) => {
              const steps = Array.from({ length: 2 * reach + 1 }, (_, step) => step - reach);
              return steps.flatMap((ax) => steps.map((az) => [at[0] + ax, y + up, at[2] + az] as const));
            };
            // One that stands alone: crowns that touch hold each other.
            const others = [-4, -2, 0, 2, 4].flatMap((up) => around(7, up)).filter(isLog);
            if (others.every((other) => Math.max(Math.abs(other[0] - at[0]), Math.abs(other[2] - at[2])) <= 1)) {
              return around(1, 1).filter(isLog);
            }
          }
        }
      }
    }
    return [];
  }, [x, z]);
}

/** Sends edits as a player would who is in a hurry, and waits until they are on disk. */
async function build(page: Page, foot: Place, voxels: Scene["build"]): Promise<void> {
  await page.evaluate(async ([place, list]) => {
    for (const [index, [x, y, z, name]] of list.entries()) {
      const at = [place[0] + x, place[1] + y, place[2] + z] as const;
      // What the ground has of it already stays.
      if (y > 0 || window.terrane.block(...at) === "air") {
        window.terrane.edit(...at, name);
      }
      if (index % 200 === 199) {
        await new Promise((resolve) => setTimeout(resolve, 2_000));
      }
    }
  }, [foot, voxels] as const);
  await page.waitForFunction(() => window.terrane.state().unacknowledged === 0, undefined, { timeout: 120_000 });
}

function canvasOf(page: Page): Promise<string> {
  return page.evaluate(() => new Promise<string>((resolve) => {
    requestAnimationFrame(() => resolve(document.querySelector<HTMLCanvasElement>("#view")!.toDataURL()));
  }));
}

/** Four pictures as one, in reading order. */
async function asSequence(page: Page, name: string, shots: string[]): Promise<void> {
  const data = await page.evaluate(async (list) => {
    const images = await Promise.all(list.map(async (source) => {
      const image = new Image();
      image.src = source;
      await image.decode();
      return image;
    }));
    const canvas = document.createElement("canvas");
    const [width, height, gap] = [images[0]!.width, images[0]!.height, 6];
    [canvas.width, canvas.height] = [2 * width + gap, 2 * height + gap];
    const context = canvas.getContext("2d")!;
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    images.forEach((image, index) => context.drawImage(image, (index % 2) * (width + gap), Math.floor(index / 2) * (height + gap)));
    return canvas.toDataURL("image/jpeg", 0.86);
  }, shots);
  writeFileSync(join(RESULTS, `scene-${name}.jpg`), Buffer.from(data.split(",")[1]!, "base64"));
}

/** SCENES names some of them, and `tree`: one each in a sequence of four pictures, at a tenth of the usual speed. */
test.skipIf(process.env["SCENES"] === undefined).each((process.env["SCENES"] ?? "").split(" "))("%s, before, on the way down and after", async (name) => {
  const server = makeServer(7_797);
  const browser = await openBrowser(640, 360);
  const extra = process.env["TERRANE_ARGS"];
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?test=1&fly=1&distance=3`, []);
    await settled(page);
    const spawn = await page.evaluate(() => window.terrane.state().position);
    const middle = [Math.floor(spawn[0]), 0, Math.floor(spawn[2])] as const;
    const trunk = name === "tree" ? await trunkNear(page, middle) : [];
    const foot = trunk[0] ?? await firmGroundNear(page, middle);
    const scene = SCENES[name] ?? { build: [], eye: [0, 7, 16, 0, -14], waitsMs: [0, 1_200] };
    await build(page, foot, scene.build);
    const [x, y, z, yaw, pitch] = scene.eye;
    await page.evaluate((at) => window.terrane.teleport(...at), [foot[0] + x + 0.5, foot[1] + y, foot[2] + z + 0.5, yaw, pitch] as const);
    await settled(page);
    await server.kill();
    process.env["TERRANE_ARGS"] = `${extra ?? ""} --ticks 2`;
    await server.start();
    await page.waitForTimeout(8_000);
    await settled(page);
    const shots = [await canvasOf(page)];
    await page.evaluate(([cut, blasts]) => {
      cut.forEach((at) => window.terrane.edit(...at, "air"));
      blasts.forEach((blast) => window.terrane.blast(...blast));
    }, [
      trunk.length > 0 ? trunk : (scene.cut ?? []).map(([dx, dy, dz]) => [foot[0] + dx, foot[1] + dy, foot[2] + dz] as const),
      (scene.blasts ?? []).map(([dx, dy, dz, power]) => [foot[0] + dx, foot[1] + dy, foot[2] + dz, power] as const),
    ] as const);
    if (scene.blasts === undefined) {
      await page.waitForFunction(() => window.terrane.state().bodies.falling > 0, undefined, { timeout: 60_000 });
    }
    for (const waitMs of scene.waitsMs) {
      await page.waitForTimeout(2_000 + waitMs);
      shots.push(await canvasOf(page));
    }
    for (let quiet = 0; quiet < 6;) {
      await page.waitForTimeout(1_000);
      quiet = (await page.evaluate(() => window.terrane.state().bodies.falling)) === 0 ? quiet + 1 : 0;
    }
    await settled(page);
    shots.push(await canvasOf(page));
    await asSequence(page, name, shots);
  } finally {
    process.env["TERRANE_ARGS"] = extra ?? "";
    await browser.close();
    await server.dispose();
  }
});

/** CROWD: 1 takes them: agents round the end of the bank, and through it once it is dug through. */
test.skipIf(process.env["CROWD"] === undefined)("a crowd round an obstacle", async () => {
  const server = makeServer(7_803, [["new", "--seed", "7", "--physics", "off"], ["edit", ...BANK]]);
  const browser = await openBrowser(1_120, 630);
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?test=1&fly=1&distance=4&at=${WAYS.feet.join()}`, []);
    await settled(page);
    await clickWith(page, "c", [above(WAYS.start), above(WAYS.goal)]);
    await page.waitForFunction(() => window.terrane.crowd().drawn > 1_000);
    await lookAt(page, WAYS.at, WAYS.feet);
    await page.waitForTimeout(Number(process.env["CROWD_MS"] ?? 4_000));
    await jpeg(page, "crowd-viewer");
    await page.evaluate(() => {
      for (let x = -120; x < -116; x += 1) {
        for (let y = 60; y < 75; y += 1) {
          [-22, -21, -20].forEach((z) => window.terrane.edit(x, y, z, "air"));
        }
      }
    });
    await page.waitForTimeout(8_000);
    await lookAt(page, WAYS.at, WAYS.feet);
    await jpeg(page, "crowd-viewer-dug");
  } finally {
    await browser.close();
    await server.dispose();
  }
});

/** UNDO names a column, `x,z`, beside which a tower is built and blown up. */
test.skipIf(process.env["UNDO"] === undefined)("a tower that was blown up, and what would come back", async () => {
  const [column, at] = process.env["UNDO"]!.split(" ");
  const [cx, cz] = column!.split(",").map(Number) as [number, number];
  const server = makeServer(7_799);
  const browser = await openBrowser(1_120, 630);
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?${at ?? ""}&test=1&fly=1&distance=5`, []);
    await settled(page);
    const [x, y, z] = await firmGroundNear(page, [cx, 0, cz]);
    await buildTower(page, [x, y + 1, z]);
    await page.waitForFunction(() => window.terrane.state().unacknowledged === 0);
    await page.evaluate(([px, py, pz]) => window.terrane.blast(px, py + 6, pz, 90), [x, y, z] as const);
    // Its top is gone, and lies somewhere.
    await page.waitForFunction(([px, py, pz]) => window.terrane.block(px! + 2, py! + 23, pz! + 2) === "air", [x, y, z]);
    await page.waitForFunction(() => window.terrane.state().bodies.falling === 0);
    await lookAt(page, [x, y + 12, z], [x + 14, y + 18, z + 22]);
    await page.keyboard.press("u");
    await page.fill(".undo input.search", "viewer");
    for (const cause of ["edits", "digging"]) {
      await page.click(`.undo label.check:has-text("${cause}")`);
    }
    await page.click(".undo .act.look");
    await page.waitForFunction(() => window.terrane.undo().state === "planned" && window.terrane.undo().ghost.waiting === 0);
    await settled(page);
    await page.waitForTimeout(1_500);
    await screenshot(page, "undo-tower");
  } finally {
    await browser.close();
    await server.dispose();
  }
});
