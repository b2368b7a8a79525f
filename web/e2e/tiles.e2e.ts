/** The page that `terrane map --tiles` writes, from a file: it pans, zooms, and says where one is. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { openBrowser, screenshot } from "./browser.ts";

const BINARY = process.env["TERRANE_BIN"];
const [WIDTH, HEIGHT] = [800, 600];

/** A map of 1024×1024 voxels around x = z = 0, in three zooms. */
function drawTiles(folder: string): string {
  const [world, tiles] = [join(folder, "world"), join(folder, "tiles")];
  execFileSync(BINARY!, ["new", "--world", world, "--seed", "7"]);
  const box = ["--box", "-512,0,-512:512,128,512"];
  execFileSync(BINARY!, ["map", "--world", world, "--layer", "biome", "--tiles", tiles, ...box]);
  return pathToFileURL(join(tiles, "index.html")).href;
}

/** Opens the page; errors, and requests that leave the folder, are pushed to `faults`. */
async function openTiles(page: Page, address: string, faults: string[]): Promise<void> {
  page.on("pageerror", (error) => faults.push(`${error}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(address.replace("index.html", ""))) {
      faults.push(`a request to ${request.url()}`);
    }
  });
  await page.goto(address);
  await loaded(page);
}

/** Resolves when the tiles that should be seen have come; gives their zooms. */
async function loaded(page: Page): Promise<number[]> {
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  await page.waitForFunction(() => {
    const images = [...document.querySelectorAll<HTMLImageElement>("#map img")];
    return images.length > 0 && images.every((image) => image.complete && image.naturalWidth === 256);
  });
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLImageElement>("#map img")].map((image) => Number(image.src.split("/").at(-3))));
}

/** What the page says the pointer is at. */
async function placeAt(page: Page, x: number, y: number): Promise<number[]> {
  await page.mouse.move(x, y);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  const text = await page.textContent("#place");
  const match = /x (-?\d+)\s+z (-?\d+)/.exec(text ?? "");
  expect(match, `the place in ${text}`).not.toBeNull();
  return [Number(match![1]), Number(match![2])];
}

// The double has no worlds to draw.
test.skipIf(BINARY === undefined)("a map of tiles pans, zooms and says where one is", async () => {
  const folder = mkdtempSync(join(tmpdir(), "terrane-tiles-"));
  const browser = await openBrowser(WIDTH, HEIGHT);
  const faults: string[] = [];
  try {
    const page = await browser.context.newPage();
    await openTiles(page, drawTiles(folder), faults);
    expect(await page.textContent("#layer summary")).toBe("biome");
    // Everything is seen: 1024 voxels on 600 pixels, in the middle of the window.
    const scale = HEIGHT / 1024;
    expect(await placeAt(page, 400, 300)).toEqual([0, 0]);
    expect(await placeAt(page, 400 + 256 * scale + 1, 300 - 128 * scale + 1)).toEqual([257, -127]);
    await page.click("#layer summary");
    expect(await page.textContent("#layer table")).toMatch(/\d+\.\d %ocean/);
    await screenshot(page, "tiles-whole");
    await page.click("#layer summary");

    // Dragged by 120 pixels to the right, what is in the middle lies to the west.
    await page.mouse.move(400, 300);
    await page.mouse.down();
    await page.mouse.move(460, 300, { steps: 3 });
    await page.mouse.move(520, 300, { steps: 3 });
    await page.mouse.up();
    const [x, z] = await placeAt(page, 400, 300);
    expect([x, z]).toEqual([Math.floor(-120 / scale), 0]);
    await loaded(page);
    await screenshot(page, "tiles-panned");

    // The voxel under the pointer stays there, and finer tiles come.
    const before = await placeAt(page, 500, 200);
    for (let n = 0; n < 4; n += 1) {
      await page.mouse.wheel(0, -240);
    }
    const after = await placeAt(page, 500, 200);
    expect(Math.hypot(after[0]! - before[0]!, after[1]! - before[1]!)).toBeLessThan(2.5);
    expect(Math.max(...await loaded(page)), "the last zoom").toBe(2);
    expect(await page.textContent("#place")).toMatch(/pixels a voxel/);
    await screenshot(page, "tiles-zoomed");

    await page.keyboard.press("ArrowRight");
    expect((await placeAt(page, 500, 200))[0]).toBeGreaterThan(after[0]!);
    await page.click("#out");
    await page.click("#in");
    await page.click("#whole");
    expect(await placeAt(page, 400, 300)).toEqual([0, 0]);
    expect(await loaded(page)).toContain(1);
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
