/** A headless browser with a software GPU, and what the tests look at in its pages. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type BrowserContext, type Page } from "playwright-core";

/** Where pictures go. */
export const RESULTS = fileURLToPath(new URL("../test-results", import.meta.url));
const ARGUMENTS = [
  "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
];

/** A browser with a fresh profile; CHROMIUM names another executable. */
export async function openBrowser(width: number, height: number): Promise<{ context: BrowserContext; close(): Promise<void> }> {
  mkdirSync(RESULTS, { recursive: true });
  const profile = mkdtempSync(join(tmpdir(), "terrane-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    headless: true,
    args: ARGUMENTS,
    viewport: { width, height },
  });
  // A software GPU on a machine that is busy with other things takes its time; a test ends by its own limit.
  context.setDefaultTimeout(120_000);
  return {
    context,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** Opens the viewer; any error on the page, and any request elsewhere, is pushed to `faults`. */
export async function openViewer(context: BrowserContext, address: string, faults: string[]): Promise<Page> {
  const page = await context.newPage();
  const { host } = new URL(address);
  page.on("pageerror", (error) => faults.push(`${error}`));
  page.on("console", (message) => {
    const isLostConnection = /WebSocket|ERR_CONNECTION/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !isLostConnection && !/GPU stall|GL Driver/.test(message.text())) {
      faults.push(message.text());
    }
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.host !== host && !["data:", "blob:"].includes(url.protocol)) {
      faults.push(`a request to ${request.url()}`);
    }
  });
  await page.goto(address);
  return page;
}

/** Resolves when everything subscribed to is drawn. */
export async function settled(page: Page): Promise<void> {
  await page.evaluate(() => window.terrane.settled());
}

/** Puts the feet at a place and looks at another one, and waits until everything is drawn. */
export async function lookAt(page: Page, [x, y, z]: readonly [number, number, number], feet: readonly [number, number, number]): Promise<void> {
  // Eyes are so far above the feet.
  const [dx, dy, dz] = [x - feet[0], y - feet[1] - 1.62, z - feet[2]];
  const yaw = (Math.atan2(dx, -dz) * 180) / Math.PI;
  const pitch = (Math.atan2(dy, Math.hypot(dx, dz)) * 180) / Math.PI;
  await page.evaluate((at) => window.terrane.teleport(...at), [...feet, yaw, pitch] as const);
  await settled(page);
}

/** Saves what the page shows. */
export async function screenshot(page: Page, name: string): Promise<void> {
  // Software rendering may take long over the one frame that the picture waits for.
  await page.screenshot({ path: join(RESULTS, `${name}.png`), timeout: 240_000 });
}

/** A sample of the canvas's pixels, one number each, of the share of the picture around its middle. */
export async function pixels(page: Page, share = 1): Promise<number[]> {
  return page.evaluate((part) => {
    const canvas = document.querySelector<HTMLCanvasElement>("#view")!;
    const side = 96;
    const copy = new OffscreenCanvas(side, side).getContext("2d")!;
    const [width, height] = [canvas.width * part, canvas.height * part];
    copy.drawImage(canvas, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height, 0, 0, side, side);
    return [...new Uint32Array(copy.getImageData(0, 0, side, side).data.buffer)];
  }, share);
}

/** Share of the sampled pixels that differ visibly. */
export function changedShare(before: readonly number[], after: readonly number[]): number {
  const channel = (pixel: number, shift: number) => (pixel >>> shift) & 255;
  const differs = before.filter((pixel, index) =>
    [0, 8, 16].some((shift) => Math.abs(channel(pixel, shift) - channel(after[index]!, shift)) > 12));
  return differs.length / before.length;
}
