/** Two windows on one world: what one digs the other sees, and it is still dug after the server was killed. */
import type { Page } from "playwright-core";
import { changedShare, openBrowser, openViewer, pixels, screenshot, settled } from "./browser.ts";
import { makeServer } from "./servers.ts";

type Place = readonly [number, number, number];

/** The nearest dry ground around a place: the top voxel of its column. */
async function dryGroundNear(page: Page, [x, , z]: Place): Promise<Place> {
  const found = await page.evaluate(([px, pz]) => {
    const topOf = (cx: number, cz: number) => {
      for (let y = 250; y > -250; y -= 1) {
        const name = window.terrane.block(cx, y, cz);
        if (name !== null && name !== "air") {
          return { y, isDry: !/water|lava|tall|short|flower|poppy|fern/.test(name) };
        }
      }
      return null;
    };
    for (let ring = 1; ring < 48; ring += 1) {
      for (const [dx, dz] of [[ring, 0], [0, ring], [-ring, 0], [0, -ring], [ring, ring], [-ring, -ring]]) {
        const top = topOf(px! + dx!, pz! + dz!);
        if (top?.isDry) {
          return [px! + dx!, top.y, pz! + dz!] as const;
        }
      }
    }
    return null;
  }, [x, z]);
  expect(found, "there is dry ground near the spawn").not.toBeNull();
  return found!;
}

/** Puts the page above a voxel, looking straight down at it. */
async function lookDownAt(page: Page, place: Place): Promise<void> {
  await page.evaluate(([x, y, z]) => window.terrane.teleport(x + 0.5, y + 3, z + 0.5, 0, -89.9), place);
  await settled(page);
}

const blockAt = (page: Page, place: Place) => page.evaluate((p) => window.terrane.block(p[0], p[1], p[2]), place);

async function waitForAir(page: Page, place: Place): Promise<void> {
  await page.waitForFunction((p) => window.terrane.block(p[0], p[1], p[2]) === "air", place, { timeout: 120_000 });
}

async function waitForLive(page: Page): Promise<void> {
  await page.waitForFunction(() => window.terrane.state().connection === "live", undefined, { timeout: 240_000 });
  await settled(page);
}

test("two windows share one world that survives the server's death", async () => {
  const server = makeServer(7_781);
  const browser = await openBrowser(640, 400);
  const faults: string[] = [];
  try {
    await server.start();
    const address = `${server.origin}/?test=1&fly=1&distance=2`;
    const a = await openViewer(browser.context, address, faults);
    await settled(a);
    await screenshot(a, "spawn");
    expect(new Set(await pixels(a)).size, "different colours").toBeGreaterThan(200);

    const spawn = await a.evaluate(() => window.terrane.state().position);
    const hole = await dryGroundNear(a, [Math.floor(spawn[0]), 0, Math.floor(spawn[2])]);
    await lookDownAt(a, hole);
    const b = await openViewer(browser.context, address, faults);
    await settled(b);
    await lookDownAt(b, hole);
    expect(await blockAt(b, hole)).not.toBe("air");
    const before = await pixels(b, 0.3);

    await a.bringToFront();
    await a.mouse.click(320, 200);
    await waitForAir(a, hole);
    await b.bringToFront();
    await waitForAir(b, hole);
    await settled(b);
    expect(changedShare(before, await pixels(b, 0.3)), "pixels that changed in B").toBeGreaterThan(0.05);
    await screenshot(b, "hole-in-b");
    await a.waitForFunction(() => window.terrane.state().unacknowledged === 0);

    await server.kill();
    await a.waitForFunction(() => window.terrane.state().connection !== "live", undefined, { timeout: 120_000 });
    await screenshot(b, "reconnecting");
    await server.start();
    for (const page of [a, b]) {
      await page.bringToFront();
      await waitForLive(page);
    }
    expect(await blockAt(a, hole)).toBe("air");
    // Software rendering on a busy machine keeps a page from loading for a long while.
    await b.reload({ timeout: 240_000, waitUntil: "commit" });
    await waitForLive(b);
    await lookDownAt(b, hole);
    expect(await blockAt(b, hole)).toBe("air");
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
    await server.dispose();
  }
});

test("the keys: borders, help, all blocks, a search that fills the slot", async () => {
  const server = makeServer(7_783);
  const browser = await openBrowser(720, 450);
  const faults: string[] = [];
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?test=1&fly=1&distance=2&look=30,-25`, faults);
    await settled(page);
    await page.evaluate(() => {
      const [x, y, z] = window.terrane.state().position;
      window.terrane.teleport(x, y + 18, z, 30, -25);
    });
    await settled(page);
    for (const mode of ["chunk", "region", "column"]) {
      await page.keyboard.press("b");
      expect(await page.textContent(".legend")).toContain(mode);
      await page.waitForTimeout(600);
      await screenshot(page, `borders-${mode}`);
    }
    await page.keyboard.press("b");
    expect(await page.isVisible(".legend")).toBe(false);
    await page.keyboard.press("h");
    expect(await page.isVisible(".help")).toBe(true);
    await page.keyboard.press("h");
    await page.keyboard.press("e");
    await page.waitForTimeout(600);
    await screenshot(page, "picker");
    await page.keyboard.type("sand");
    await page.keyboard.press("Enter");
    expect(await page.textContent(".slot-name")).toContain("sand");
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
    await server.dispose();
  }
});

/** What stands over the view, as the page lays it out, and what each of it covers: `name a, name b` of two that meet. */
function overlaps(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const names = [".place", ".counts", ".tools", ".hotbar", ".slot-name", ".panel.support", ".panel.undo", ".legend", ".hint"];
    const boxes = names.map((name) => ({ name, box: document.querySelector(name)!.getBoundingClientRect() }));
    const [x, y] = [innerWidth / 2, innerHeight / 2];
    boxes.push({ name: "the middle", box: new DOMRect(x - 16, y - 16, 32, 32) });
    const meet = (a: DOMRect, b: DOMRect) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const outside = boxes.filter(({ box }) => box.left < 0 || box.top < 0 || box.right > innerWidth || box.bottom > innerHeight);
    return [
      ...outside.map(({ name }) => `${name} leaves the window`),
      ...boxes.flatMap((a, at) => boxes.slice(at + 1).filter((b) => meet(a.box, b.box)).map((b) => `${a.name}, ${b.name}`)),
    ];
  });
}

test("panels, tools, legends and slots leave each other and the middle alone in windows of any size", async () => {
  const server = makeServer(7_793);
  const browser = await openBrowser(640, 400);
  const faults: string[] = [];
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?test=1&fly=1&distance=2&look=30,-25`, faults);
    await settled(page);
    await page.keyboard.press("v");
    // The longest of the borders' legends.
    await page.keyboard.press("b");
    await page.keyboard.press("b");
    for (const [width, height] of [[1_280, 720], [640, 400], [420, 700], [1_241, 600], [1_240, 500], [540, 600], [360, 640]] as const) {
      await page.setViewportSize({ width, height });
      // What depends on the window's width is laid out with the next frame.
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
      await screenshot(page, `panels-${width}x${height}`);
      expect(await overlaps(page), `${width}×${height}`).toEqual([]);
    }
    // The one panel that is a form, and much larger.
    await page.keyboard.press("v");
    await page.keyboard.press("u");
    for (const [width, height] of [[1_280, 720], [640, 400], [420, 700], [1_240, 500], [360, 640]] as const) {
      await page.setViewportSize({ width, height });
      await page.waitForTimeout(400);
      expect(await overlaps(page), `the form, ${width}×${height}`).toEqual([]);
    }
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
    await server.dispose();
  }
});
