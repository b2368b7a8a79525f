/** Pictures from several places, for people to look at; PICTURES names places as `name=query` split at spaces. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { openBrowser, openViewer, pixels, RESULTS, screenshot, settled } from "./browser.ts";
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

/** FALL names what is bombed: `at=x,y,z&look=yaw,pitch` and bombs `x,y,z,power`; TOWER a place to build a tower on before. */
test.skipIf(process.env["FALL"] === undefined)("a blast and what falls after it, then its support", async () => {
  const [query, ...bombs] = process.env["FALL"]!.split(" ");
  const server = makeServer(7_789);
  const browser = await openBrowser(720, 405);
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?${query}&test=1&fly=1&distance=4`, []);
    await settled(page);
    await page.evaluate(async (place) => {
      const [x, y, z] = place.split(",").map(Number) as [number, number, number];
      for (let step = 0; place !== "" && step < 24 * 25; step += 1) {
        const [dx, dy, dz] = [(step % 5) - 2, Math.floor(step / 25), (Math.floor(step / 5) % 5) - 2];
        const isWall = Math.max(Math.abs(dx), Math.abs(dz)) === 2 || dy % 8 === 7;
        if (isWall) {
          window.terrane.edit(x + dx, y + dy, z + dz, dy % 8 === 7 ? "oak_planks" : "stone_bricks");
        }
        if (step % 200 === 199) {
          await new Promise((resolve) => setTimeout(resolve, 3_000));
        }
      }
    }, process.env["TOWER"] ?? "");
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
