/** Two windows on one world: what one digs the other sees, and it is still dug after the server was killed. */
import type { Page } from "playwright-core";
import { changedShare, openBrowser, openViewer, pixels, screenshot, settled } from "./browser.ts";
import { makeServer } from "./servers.ts";

type Place = readonly [number, number, number];

/** Puts the page above a column's ground, looking straight down; returns the voxel looked at. */
async function lookDownAt(page: Page, [x, , z]: Place): Promise<Place> {
  const ground = await page.evaluate(([px, pz]) => {
    for (let y = 200; y > -200; y -= 1) {
      const name = window.terrane.block(px!, y, pz!);
      if (name !== null && name !== "air") {
        return y;
      }
    }
    return null;
  }, [x, z]);
  expect(ground, "the column has ground").not.toBeNull();
  await page.evaluate(([px, py, pz]) => window.terrane.teleport(px! + 0.5, py! + 3, pz! + 0.5, 0, -89.9), [x, ground!, z]);
  await settled(page);
  return [x, ground!, z];
}

const blockAt = (page: Page, place: Place) => page.evaluate((p) => window.terrane.block(p[0], p[1], p[2]), place);

async function waitForAir(page: Page, place: Place): Promise<void> {
  await page.waitForFunction((p) => window.terrane.block(p[0], p[1], p[2]) === "air", place, { timeout: 30_000 });
}

async function waitForLive(page: Page): Promise<void> {
  await page.waitForFunction(() => window.terrane.state().connection === "live", undefined, { timeout: 60_000 });
  await settled(page);
}

test("two windows share one world that survives the server's death", async () => {
  const server = makeServer(7_781);
  const browser = await openBrowser(800, 500);
  const faults: string[] = [];
  try {
    await server.start();
    const address = `${server.origin}/?test=1&fly=1&distance=2`;
    const a = await openViewer(browser.context, address, faults);
    await settled(a);
    await screenshot(a, "spawn");
    expect(new Set(await pixels(a)).size, "different colours").toBeGreaterThan(200);

    const spawn = await a.evaluate(() => window.terrane.state().position);
    const hole = await lookDownAt(a, [Math.floor(spawn[0]) + 2, 0, Math.floor(spawn[2]) + 2]);
    const b = await openViewer(browser.context, address, faults);
    await settled(b);
    expect(await lookDownAt(b, hole)).toEqual(hole);
    expect(await blockAt(b, hole)).not.toBe("air");
    const before = await pixels(b, 0.3);

    await a.bringToFront();
    await a.mouse.click(400, 250);
    await waitForAir(a, hole);
    await b.bringToFront();
    await waitForAir(b, hole);
    await settled(b);
    expect(changedShare(before, await pixels(b, 0.3)), "pixels that changed in B").toBeGreaterThan(0.05);
    await screenshot(b, "hole-in-b");
    await a.waitForFunction(() => window.terrane.state().unacknowledged === 0);

    await server.kill();
    await a.waitForFunction(() => window.terrane.state().connection !== "live", undefined, { timeout: 30_000 });
    await screenshot(b, "reconnecting");
    await server.start();
    for (const page of [a, b]) {
      await page.bringToFront();
      await waitForLive(page);
    }
    expect(await blockAt(a, hole)).toBe("air");
    await b.reload();
    await waitForLive(b);
    await lookDownAt(b, [hole[0], hole[1] + 1, hole[2]]);
    expect(await blockAt(b, hole)).toBe("air");
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
    await server.dispose();
  }
});
