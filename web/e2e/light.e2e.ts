/** A closed room is dark, a hole lets the day in, a lamp shines, and who wants it all bright has it so. */
import type { Page } from "playwright-core";
import { openBrowser, openViewer, pixels, screenshot, settled } from "./browser.ts";
import { firmGroundNear, type Place } from "./places.ts";
import { makeServer } from "./servers.ts";

const ROOM_REACH = 3;
const ROOM_HEIGHT = 4;

/** Stone around air, on the ground: floor at the place's height, walls 3 away, so many voxels of air within. */
async function buildRoom(page: Page, [x, y, z]: Place): Promise<void> {
  await page.evaluate(([px, py, pz, reach, height]) => {
    for (let dy = 0; dy <= height! + 1; dy += 1) {
      for (let dx = -reach!; dx <= reach!; dx += 1) {
        for (let dz = -reach!; dz <= reach!; dz += 1) {
          const isInside = dy > 0 && dy <= height! && Math.max(Math.abs(dx), Math.abs(dz)) < reach!;
          window.terrane.edit(px! + dx, py! + dy, pz! + dz, isInside ? "air" : "stone");
        }
      }
    }
  }, [x, y, z, ROOM_REACH, ROOM_HEIGHT]);
  await page.waitForFunction(() => window.terrane.state().unacknowledged === 0, undefined, { timeout: 120_000 });
}

/** Waits until a voxel's light is such, and everything is drawn by it. */
async function waitForLight(page: Page, place: Place, sky: readonly [number, number], block: readonly [number, number]): Promise<void> {
  await page.waitForFunction(([[x, y, z], skies, blocks]) => {
    const light = window.terrane.light(x, y, z);
    return light !== null && light.sky >= skies[0] && light.sky <= skies[1] && light.block >= blocks[0] && light.block <= blocks[1];
  }, [place, sky, block] as const, { timeout: 120_000 });
  await settled(page);
}

/** Mean of the channels in the middle of the picture, 0 to 255. */
async function brightness(page: Page): Promise<number> {
  const sample = await pixels(page, 0.3);
  const sum = sample.reduce((total, pixel) => total + (pixel & 255) + ((pixel >>> 8) & 255) + ((pixel >>> 16) & 255), 0);
  return sum / (3 * sample.length);
}

// The double knows no light.
test.skipIf(process.env["TERRANE_BIN"] === undefined)("a closed room is dark until a wall is dug through", async () => {
  const server = makeServer(7_791);
  const browser = await openBrowser(640, 400);
  const faults: string[] = [];
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?test=1&fly=1&distance=2`, faults);
    await settled(page);
    const spawn = await page.evaluate(() => window.terrane.state().position);
    const ground = await firmGroundNear(page, [Math.floor(spawn[0]), 0, Math.floor(spawn[2])]);
    const [x, y, z] = ground;
    const middle: Place = [x, y + 2, z];
    await waitForLight(page, [x, y + 1, z], [15, 15], [0, 0]);
    await buildRoom(page, ground);
    await waitForLight(page, middle, [0, 0], [0, 0]);

    await page.evaluate(([px, py, pz]) => window.terrane.teleport(px! + 0.5, py! - 1, pz! + 1.5, 0, 0), middle);
    await settled(page);
    const dark = await brightness(page);
    await screenshot(page, "light-closed");
    expect(dark, "dark, and not black").toBeGreaterThan(8);

    // All bright, and by light again.
    await page.keyboard.press("l");
    await page.waitForFunction(() => window.terrane.state().lightChunks === 0);
    await settled(page);
    expect(await page.isVisible(".tool.chosen"), "the switch is off").toBe(false);
    const plain = await brightness(page);
    await screenshot(page, "light-off");
    expect(plain).toBeGreaterThan(2 * dark);
    await page.keyboard.press("l");
    await waitForLight(page, middle, [0, 0], [0, 0]);
    expect(await page.textContent(".tool.chosen")).toContain("light");
    expect(Math.abs(await brightness(page) - dark)).toBeLessThan(3);

    // A hole behind the one who looks, and it is light on the wall before them.
    await page.evaluate(([px, py, pz]) => window.terrane.edit(px!, py!, pz! + 3, "air"), middle);
    await waitForLight(page, middle, [8, 14], [0, 0]);
    const opened = await brightness(page);
    await screenshot(page, "light-opened");
    expect(opened, "the day comes in").toBeGreaterThan(1.5 * dark);

    // Closed again, with a lamp in it.
    await page.evaluate(([px, py, pz]) => {
      window.terrane.edit(px!, py!, pz! + 3, "stone");
      window.terrane.edit(px! + 2, py! - 1, pz! - 2, "glowstone");
    }, middle);
    await waitForLight(page, middle, [0, 0], [8, 14]);
    await screenshot(page, "light-lamp");
    expect(await brightness(page)).toBeGreaterThan(1.5 * dark);
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
    await server.dispose();
  }
});
