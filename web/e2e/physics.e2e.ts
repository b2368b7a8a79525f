/** What is bombed in one window falls in the other, lands, and is the same world for everybody; support is shown. */
import type { Page } from "playwright-core";
import { changedShare, openBrowser, openViewer, pixels, screenshot, settled } from "./browser.ts";
import { firmGroundNear, type Place } from "./places.ts";
import { makeServer } from "./servers.ts";

const TOWER_HEIGHT = 40;
const BOMB_HEIGHT = 14;

/** A thin tower with a broad top, voxel by voxel. */
async function buildTower(page: Page, [x, y, z]: Place): Promise<void> {
  await page.evaluate(([px, py, pz, height]) => {
    for (let step = 1; step <= height!; step += 1) {
      window.terrane.edit(px!, py! + step, pz!, "stone");
    }
    // From the middle outwards: what is put where nothing holds it falls.
    for (const place of [1, 3, 5, 7, 0, 2, 6, 8]) {
      window.terrane.edit(px! + (place % 3) - 1, py! + height!, pz! + Math.floor(place / 3) - 1, "stone");
    }
  }, [x, y, z, TOWER_HEIGHT]);
  await page.waitForFunction(() => window.terrane.state().unacknowledged === 0, undefined, { timeout: 120_000 });
}

/** The blocks of the tower's columns, from a little below its foot to above its top. */
function columnsOf(page: Page, [x, y, z]: Place): Promise<(string | null)[]> {
  return page.evaluate(([px, py, pz, height]) => {
    const blocks: (string | null)[] = [];
    for (let place = 0; place < 9; place += 1) {
      for (let step = -16; step <= height! + 4; step += 1) {
        blocks.push(window.terrane.block(px! + (place % 3) - 1, py! + step, pz! + Math.floor(place / 3) - 1));
      }
    }
    return blocks;
  }, [x, y, z, TOWER_HEIGHT]);
}

// The double has no physics.
test.skipIf(process.env["TERRANE_BIN"] === undefined)("a tower that is bombed falls in every window and lands in one world", async () => {
  const server = makeServer(7_787);
  // A page that is not in front draws nothing, so that each has a browser of its own.
  const [browser, other] = await Promise.all([openBrowser(720, 450), openBrowser(480, 320)]);
  const faults: string[] = [];
  try {
    await server.start();
    const address = `${server.origin}/?test=1&fly=1&distance=2`;
    const a = await openViewer(browser.context, address, faults);
    await settled(a);
    const spawn = await a.evaluate(() => window.terrane.state().position);
    const foot = await firmGroundNear(a, [Math.floor(spawn[0]), 0, Math.floor(spawn[2])]);
    await buildTower(a, foot);
    const [x, y, z] = foot;
    const before = await columnsOf(a, foot);
    expect(before.filter((block) => block === "stone").length).toBeGreaterThanOrEqual(TOWER_HEIGHT + 8);

    const b = await openViewer(other.context, address, faults);
    await settled(b);
    const look = ([px, py, pz]: Place) => window.terrane.teleport(px + 0.5, py + 34, pz + 24.5, 0, -25);
    await b.evaluate(look, foot);
    await settled(b);
    const standing = await pixels(b, 0.5);
    await screenshot(b, "tower");

    // The bomb tool, as a player uses it: taken up, made stronger, thrown at the block in the middle of the view.
    await a.evaluate(([px, py, pz]) => window.terrane.teleport(px! + 0.5, py! - 1.12, pz! + 5.5, 0, 0), [x, y + BOMB_HEIGHT, z]);
    await settled(a);
    const earlier = await b.evaluate(() => window.terrane.state().bodies);
    await a.keyboard.press("x");
    for (let step = 0; step < 23; step += 1) {
      await a.keyboard.press(".");
    }
    expect(await a.textContent(".tool.chosen")).toContain("power 248");
    await a.waitForTimeout(500);
    await a.mouse.click(360, 225);
    await b.waitForFunction((p) => window.terrane.block(p[0]!, p[1]!, p[2]!) === "air", [x, y + BOMB_HEIGHT, z], { timeout: 120_000 });
    await b.waitForFunction((drawn) => window.terrane.state().bodies.drawnFalling > drawn, earlier.drawnFalling, { timeout: 60_000 });
    // Rubble falls on rubble, so that quiet is quiet only after a while.
    for (let quiet = 0; quiet < 4;) {
      await b.waitForTimeout(500);
      quiet = (await b.evaluate(() => window.terrane.state().bodies.falling)) === 0 ? quiet + 1 : 0;
    }
    await settled(b);
    const { seen } = await b.evaluate(() => window.terrane.state().bodies);
    expect(seen).toBeGreaterThan(earlier.seen);
    await screenshot(b, "tower-fallen");
    expect(changedShare(standing, await pixels(b, 0.5)), "pixels that changed in B").toBeGreaterThan(0.01);

    const fallen = await columnsOf(b, foot);
    expect(fallen).not.toEqual(before);
    expect(fallen.slice(-4), "nothing hangs in the air").toEqual(["air", "air", "air", "air"]);
    await settled(a);
    expect(await columnsOf(a, foot)).toEqual(fallen);
    await b.reload({ timeout: 240_000, waitUntil: "commit" });
    await b.waitForFunction(() => window.terrane?.state().connection === "live", undefined, { timeout: 240_000 });
    await settled(b);
    expect(await columnsOf(b, foot), "a fresh page sees the same world").toEqual(fallen);

    // Support, for one who asks.
    await b.evaluate(([px, py, pz]) => window.terrane.teleport(px! + 0.5, py! + 16, pz! + 12.5, 0, -50), foot);
    await settled(b);
    const plain = await pixels(b, 0.5);
    await b.keyboard.press("v");
    await b.waitForFunction(() => window.terrane.state().supportChunks > 20, undefined, { timeout: 120_000 });
    await b.waitForTimeout(3_000);
    await settled(b);
    expect(changedShare(plain, await pixels(b, 0.5)), "pixels that support colours").toBeGreaterThan(0.2);
    await screenshot(b, "support");
    await b.keyboard.press("v");
    await b.waitForTimeout(1_000);
    await settled(b);
    expect(changedShare(plain, await pixels(b, 0.5)), "the world's own colours come back").toBeLessThan(0.05);
    expect(faults).toEqual([]);
  } finally {
    await Promise.all([browser.close(), other.close()]);
    await server.dispose();
  }
});
