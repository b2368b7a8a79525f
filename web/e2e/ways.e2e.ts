/** The tools for ways and fields, with real keys and clicks: what the server answers is seen, and a field follows the world. */
import type { Page } from "playwright-core";
import { changedShare, lookAt, openBrowser, openViewer, pixels, screenshot, settled } from "./browser.ts";
import type { Place } from "./places.ts";
import { makeServer } from "./servers.ts";

const [WIDTH, HEIGHT] = [640, 440];
/** A floor in the air, and a wall of dirt across it, with its ends far apart. */
const FLOOR = "-24,0,-24:25,1,25=stone";
const WALL = "-20,1,0:21,5,1=dirt";
const [START, GOAL]: [Place, Place] = [[0, 1, 8], [0, 1, -8]];
/** The colours of web/src/world/mode-look.ts. */
const COLORS = { ground: [255, 75, 58], fly: [56, 169, 255], tunnel: [196, 91, 255] } as const;

/** Clicks the floor of a voxel, as a player who looks at it from above. */
async function clickFloor(page: Page, place: Place): Promise<void> {
  await lookAt(page, [place[0] + 0.5, place[1], place[2] + 0.5], [place[0] + 0.5, place[1] + 8, place[2] + 4.5]);
  await page.mouse.click(WIDTH / 2, HEIGHT / 2);
}

/** How many pixels of the view have nearly a colour. */
async function pixelsLike(page: Page, [red, green, blue]: readonly [number, number, number]): Promise<number> {
  return page.evaluate(([r, g, b]) => {
    const canvas = document.querySelector<HTMLCanvasElement>("#view")!;
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d")!;
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) {
      count += Math.max(Math.abs(data[at]! - r!), Math.abs(data[at + 1]! - g!), Math.abs(data[at + 2]! - b!)) < 8 ? 1 : 0;
    }
    return count;
  }, [red, green, blue]);
}

/** Waits until the field is current after an edit, costs so much from a voxel, and is drawn. */
async function waitForCost(page: Page, [x, y, z]: Place, least: number, most: number): Promise<void> {
  await page.waitForFunction(([px, py, pz, low, high]) => {
    const [field, cost] = [window.terrane.field(), window.terrane.fieldCost(px!, py!, pz!)];
    return field.isCurrent && field.waiting === 0 && field.cells > 0 && cost !== null && cost >= low! && cost <= high!;
  }, [x, y, z, least, most]);
  await settled(page);
}

// The double knows no ways.
describe.skipIf(process.env["TERRANE_BIN"] === undefined)("ways and fields in the viewer", () => {
  const server = makeServer(7_799, process.env["TERRANE_BIN"] === undefined ? [] : [
    ["new", "--generator", "void", "--physics", "off"], ["edit", "--fill", FLOOR, "--fill", WALL],
  ]);
  let browser: Awaited<ReturnType<typeof openBrowser>>;
  let page: Page;
  const faults: string[] = [];

  beforeAll(async () => {
    await server.start();
    browser = await openBrowser(WIDTH, HEIGHT);
    page = await openViewer(browser.context, `${server.origin}/?test=1&fly=1&distance=2&at=0.5,10,12.5&look=0,-40`, faults);
    await settled(page);
  }, 300_000);

  afterAll(async () => {
    await browser?.close();
    await server.dispose();
  }, 120_000);

  test("two clicks show a way of each mode, in its colour and with its cost", async () => {
    await page.keyboard.press("p");
    expect(await page.textContent(".tool.chosen")).toContain("ways");
    await clickFloor(page, START);
    expect(await page.evaluate(() => window.terrane.ways())).toEqual({ start: START, goal: null, ways: [] });
    await clickFloor(page, GOAL);
    await page.waitForFunction(() => window.terrane.ways().ways.filter(({ cost }) => cost !== null).length === 3);
    const { start, goal, ways } = await page.evaluate(() => window.terrane.ways());
    expect([start, goal, ways.map(({ mode }) => mode)]).toEqual([START, GOAL, ["fly", "ground", "tunnel"]]);
    ways.forEach(({ waypoints }) => expect([waypoints[0], waypoints.at(-1)]).toEqual([START, GOAL]));
    const costs = Object.fromEntries(ways.map(({ mode, cost }) => [mode, cost!]));
    expect(costs["ground"]).toBeGreaterThan(costs["fly"]!);
    await page.waitForFunction((cost) => document.querySelector(".way[data-mode=ground]")?.textContent?.includes(`cost ${cost}`), costs["ground"]);

    // From the side that all three are seen from.
    await lookAt(page, [0.5, 2, 0.5], [9.5, 9, 15.5]);
    for (const color of Object.values(COLORS)) {
      expect(await pixelsLike(page, color)).toBeGreaterThan(40);
    }
    await screenshot(page, "ways");
  });

  test("a third click begins anew, the right button clears, and a refusal is told", async () => {
    await clickFloor(page, [3, 1, 8]);
    expect(await page.evaluate(() => window.terrane.ways())).toEqual({ start: [3, 1, 8], goal: null, ways: [] });
    await settled(page);
    expect(await pixelsLike(page, COLORS.ground)).toBe(0);
    // A roof one voxel above the floor: on foot one is too tall for it.
    await page.evaluate(() => window.terrane.edit(5, 2, 8, "stone"));
    await page.waitForFunction(() => window.terrane.block(5, 2, 8) === "stone" && window.terrane.state().unacknowledged === 0);
    await lookAt(page, [5.5, 1, 8.5], [5.5, 0.5, 15.5]);
    await page.mouse.click(WIDTH / 2, HEIGHT / 2);
    await page.waitForFunction(() => window.terrane.ways().ways.length === 3 && window.terrane.ways().ways.every(({ text }) => text !== "…"));
    const { goal, ways } = await page.evaluate(() => window.terrane.ways());
    expect(goal).toEqual([5, 1, 8]);
    expect(ways.filter(({ cost }) => cost === null).map(({ mode }) => mode)).toEqual(["ground"]);
    await page.mouse.click(WIDTH / 2, HEIGHT / 2, { button: "right" });
    expect(await page.evaluate(() => window.terrane.ways())).toEqual({ start: null, goal: null, ways: [] });
    await page.evaluate(() => window.terrane.edit(5, 2, 8, "air"));
    await page.keyboard.press("p");
  });

  test("a field is seen as colours, and follows a wall that is broken and built again", async () => {
    const view = () => lookAt(page, [0.5, 1, 2.5], [0.5, 17, 16.5]);
    await view();
    const bare = await pixels(page, 0.6);
    await page.keyboard.press("g");
    await clickFloor(page, GOAL);
    await waitForCost(page, START, 60, 1_000);
    const report = await page.evaluate(() => window.terrane.field());
    expect(report).toMatchObject({ goal: GOAL, mode: "ground", waiting: 0 });
    expect(report.cells).toBeGreaterThan(2_000);
    await view();
    const around = await pixels(page, 0.6);
    expect(changedShare(bare, around), "pixels of tiles").toBeGreaterThan(0.4);
    await screenshot(page, "field");

    // A door in the wall: the field leads through it.
    await page.evaluate(() => [1, 2].forEach((y) => window.terrane.edit(0, y, 0, "air")));
    await waitForCost(page, START, 32, 32);
    const through = await pixels(page, 0.6);
    expect(changedShare(around, through), "pixels that the door changed").toBeGreaterThan(0.1);
    await screenshot(page, "field-door");

    await page.evaluate(() => [1, 2].forEach((y) => window.terrane.edit(0, y, 0, "stone")));
    await waitForCost(page, START, 60, 1_000);
    expect(changedShare(around, await pixels(page, 0.6)), "the colours come back").toBeLessThan(0.08);

    // The next mode digs, and the right button takes the field away.
    await page.keyboard.press("m");
    await page.waitForFunction(() => window.terrane.field().mode === "tunnel");
    expect(await page.textContent(".tool.chosen")).toContain("field, tunnel");
    await waitForCost(page, START, 1, 60);
    await page.mouse.click(WIDTH / 2, HEIGHT / 2, { button: "right" });
    expect(await page.evaluate(() => window.terrane.field())).toMatchObject({ goal: null, cells: 0, isCurrent: false });
    await settled(page);
    expect(changedShare(bare, await pixels(page, 0.6)), "nothing is left of it").toBeLessThan(0.08);
    expect(faults).toEqual([]);
  });

  test("two thousand agents stream round the wall and through a door, are seen, and leave when they are dismissed", async () => {
    await page.keyboard.press("c");
    expect(await page.textContent(".tool.chosen")).toContain("crowd, ground");
    await clickFloor(page, START);
    expect(await page.evaluate(() => window.terrane.crowd())).toMatchObject({ start: START, goal: null, crowds: [] });
    await clickFloor(page, GOAL);
    await page.waitForFunction(() => (window.terrane.crowd().crowds[0]?.agents ?? 0) > 1_500 && window.terrane.crowd().drawn > 1_500);
    expect((await page.evaluate(() => window.terrane.crowd())).crowds).toMatchObject([{ mode: "ground", isOwn: true }]);
    await lookAt(page, [0.5, 1, 2.5], [0.5, 17, 16.5]);
    expect(await pixelsLike(page, COLORS.ground)).toBeGreaterThan(200);
    await screenshot(page, "crowd");
    await page.evaluate(() => [1, 2].forEach((y) => window.terrane.edit(0, y, 0, "air")));
    const left = await page.evaluate(() => window.terrane.crowd().crowds[0]?.agents ?? 0);
    await page.waitForFunction((most) => (window.terrane.crowd().crowds[0]?.agents ?? 0) < most, left);
    await screenshot(page, "crowd-door");
    await page.mouse.click(WIDTH / 2, HEIGHT / 2, { button: "right" });
    await page.waitForFunction(() => window.terrane.crowd().crowds.length === 0 && window.terrane.crowd().drawn === 0);
    expect(faults).toEqual([]);
  });
});
