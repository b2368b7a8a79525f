/** Taking back in the viewer: a plan with its ghost, what others have built, progress, the undo of the undo, and a refusal. */
import type { Page } from "playwright-core";
import { WebSocket } from "ws";
import { Client, Connection, REAL_SURROUNDINGS, type ClientEvent, type Position, type Socket } from "@terrane/client";
import { changedShare, lookAt, openBrowser, openViewer, pixels, screenshot, settled } from "./browser.ts";
import { firmGroundNear, type Place } from "./places.ts";
import { makeServer } from "./servers.ts";

const [WIDTH, HEIGHT] = [1_280, 720];
const REAL = process.env["TERRANE_BIN"] !== undefined;
/** Where the real server's world has a floor in the air; the double's has hills around its spawn. */
const FLOOR = "-24,0,-24:25,4,25=stone";
const AT = REAL ? "&at=0.5,10,12.5" : "";
const [BUILT, OTHERS] = ["dirt", "stone"] as const;

type Change = readonly [Place, string];

/** A wall of dirt, and a pit of 4 × 3 × 1 voxels beside it. */
function changesAt([x, y, z]: Place): Change[] {
  const changes: Change[] = [];
  for (let dx = 0; dx < 12; dx += 1) {
    for (let dy = 1; dy <= 5; dy += 1) {
      changes.push([[x + dx, y + dy, z], BUILT]);
    }
  }
  for (let dx = 0; dx < 4; dx += 1) {
    for (let dz = 2; dz < 5; dz += 1) {
      changes.push([[x + dx, y, z + dz], "air"]);
    }
  }
  return changes;
}

async function change(page: Page, changes: readonly Change[]): Promise<void> {
  const asked = await page.evaluate((list) => list.map(([[x, y, z], name]) => window.terrane.edit(x, y, z, name)), changes);
  expect(asked.every((isAsked) => isAsked)).toBe(true);
  await page.waitForFunction(() => window.terrane.state().unacknowledged === 0);
}

const blocks = (page: Page, places: readonly Place[]) =>
  page.evaluate((list) => list.map(([x, y, z]) => window.terrane.block(x, y, z)), places);

/** Waits until the tool says that an undo is so far; for a plan, with its whole ghost on the screen. */
async function waitForState(page: Page, state: string): Promise<void> {
  await page.waitForFunction((wanted) => {
    const { state: reached, ghost } = window.terrane.undo();
    return reached === wanted && (wanted !== "planned" || (ghost.waiting === 0 && ghost.quads > 0));
  }, state);
}

/** Changes voxels as somebody of a name, over a connection of their own. */
async function changeAs(name: string, origin: string, changes: readonly Change[]): Promise<void> {
  const client = new Client(name);
  let heard: (event: ClientEvent) => void = () => {};
  const next = (kind: ClientEvent["kind"]) => new Promise<void>((resolve) => {
    heard = (event) => void (event.kind === kind && resolve());
  });
  const openSocket = (url: string) => new WebSocket(url) as unknown as Socket;
  const connection = new Connection(`${origin.replace("http", "ws")}/ws`, client, (event) => heard(event), () => {}, {
    ...REAL_SURROUNDINGS, openSocket,
  });
  const registry = next("registry");
  connection.open();
  await registry;
  const acknowledged = next("acknowledged");
  client.edit(changes.map(([position, block]) => ({
    position: position as Position, block: client.registry.findIndex((known) => known.name === block),
  })));
  connection.flush();
  await acknowledged;
  connection.close();
}

const press = (page: Page, button: string) => page.click(`.undo .act.${button}`);

/** Stops the undo that is planned in the middle, takes back what it has done, and plans it anew. */
async function stopInTheMiddle(page: Page, places: readonly Place[], built: readonly (string | null)[]): Promise<void> {
  await press(page, "start");
  // Within one frame: a click from outside may come when it is done.
  await page.waitForFunction(() => {
    const stop = document.querySelector<HTMLButtonElement>(".undo .act.stop")!;
    const isGoing = window.terrane.undo().state === "going" && !stop.hidden;
    if (isGoing) {
      stop.click();
    }
    return isGoing;
  });
  await waitForState(page, "ended");
  const { looked, of } = await page.evaluate(() => window.terrane.undo());
  expect([looked > 0, looked < of]).toEqual([true, true]);
  await page.waitForFunction(() => document.querySelector(".undo .lines")!.textContent!.includes("Ended after"));
  await press(page, "again");
  await waitForState(page, "planned");
  expect((await page.evaluate(() => window.terrane.undo())).voxels).toBe(looked);
  await press(page, "start");
  await waitForState(page, "done");
  expect(await blocks(page, places)).toEqual(built);
  await press(page, "back");
  await press(page, "look");
  await waitForState(page, "planned");
}

async function takeBackInTheViewer(): Promise<void> {
  const server = makeServer(7_797, REAL ? [
    ["new", "--generator", "void", "--physics", "off"], ["edit", "--fill", FLOOR],
  ] : []);
  const browser = await openBrowser(WIDTH, HEIGHT);
  const faults: string[] = [];
  try {
    await server.start();
    const page = await openViewer(browser.context, `${server.origin}/?test=1&fly=1&distance=3${AT}`, faults);
    await settled(page);
    const spawn = await page.evaluate(() => window.terrane.state().position);
    const ground: Place = REAL ? [-4, 3, -2] : await firmGroundNear(page, [Math.floor(spawn[0]), 0, Math.floor(spawn[2])]);
    const changes = changesAt(ground);
    const places = changes.map(([place]) => place);
    const before = await blocks(page, places);
    await change(page, changes);
    // Anna has made two blocks of the wall something else.
    const annas = places.slice(3, 5);
    await changeAs("Anna", server.origin, annas.map((place) => [place, OTHERS]));
    await page.waitForFunction(([x, y, z]) => window.terrane.block(x!, y!, z!) === "stone", annas[1]!);
    const [x, y, z] = ground;
    await lookAt(page, [x + 3.5, y + 2, z + 1], [x + 7.5, y + 5, z + 11.5]);
    const built = await blocks(page, places);
    const bare = await pixels(page, 0.5);

    // Nobody of that name.
    await page.keyboard.press("u");
    expect(await page.textContent(".tool.chosen")).toContain("take back");
    await page.waitForTimeout(400);
    await screenshot(page, "undo-form");
    await page.fill(".undo input.search", "Nobody at all");
    await press(page, "look");
    await waitForState(page, "refused");
    expect(await page.textContent(".undo .lines")).toContain("Nothing of that name");
    await press(page, "back");

    // What this page has done, but for Anna's.
    await page.fill(".undo input.search", "viewer");
    await press(page, "look");
    await waitForState(page, "planned");
    const plan = await page.evaluate(() => window.terrane.undo());
    const asBefore = before.filter((name, at) => name === built[at]).length;
    expect(plan).toMatchObject({ voxels: places.length - annas.length - asBefore, conflicts: 2, others: [{ name: "Anna", voxels: 2 }] });
    expect(await page.textContent(".undo .lines")).toContain("Anna, 2 by hand");
    await settled(page);
    await page.waitForTimeout(600);
    expect(changedShare(bare, await pixels(page, 0.5)), "pixels of the ghost").toBeGreaterThan(0.05);
    await screenshot(page, "undo-ghost");
    expect(await blocks(page, places), "nothing has changed yet").toEqual(built);

    // The double is slow on purpose; the real server does as much in one tick.
    if (!REAL) {
      await stopInTheMiddle(page, places, built);
    }
    await press(page, "start");
    if (!REAL) {
      await page.waitForFunction(() => window.terrane.undo().state === "going" && !document.querySelector<HTMLElement>(".undo .bar")!.hidden);
      await screenshot(page, "undo-going");
    }
    await waitForState(page, "done");
    const without = before.map((name, at) => (at === 3 || at === 4 ? OTHERS : name));
    await page.waitForFunction(([list, wanted]) => JSON.stringify(list.map(([px, py, pz]) => window.terrane.block(px!, py!, pz!))) === wanted,
      [places, JSON.stringify(without)] as const);
    const done = await page.evaluate(() => window.terrane.undo());
    expect([done.looked, done.of, done.number !== null, done.ghost.quads]).toEqual([plan.voxels, plan.voxels, true, 0]);
    await page.waitForTimeout(400);
    await screenshot(page, "undo-done");

    // The undo of the undo gives every voxel back as it was.
    await press(page, "again");
    await waitForState(page, "planned");
    expect(await page.textContent(".undo .asked")).toContain(`undo ${done.number}`);
    expect((await page.evaluate(() => window.terrane.undo())).voxels).toBe(plan.voxels);
    await press(page, "start");
    await waitForState(page, "done");
    await page.waitForFunction(([list, wanted]) => JSON.stringify(list.map(([px, py, pz]) => window.terrane.block(px!, py!, pz!))) === wanted,
      [places, JSON.stringify(built)] as const);
    await press(page, "back");

    // Two clicks are a box, and the right button drops it.
    await page.mouse.click(WIDTH / 2, HEIGHT / 2);
    await lookAt(page, [x + 0.5, y + 1, z + 6.5], [x + 0.5, y + 9, z + 10.5]);
    await page.mouse.click(WIDTH / 2, HEIGHT / 2);
    expect((await page.evaluate(() => window.terrane.undo())).corners).toHaveLength(2);
    await page.waitForTimeout(400);
    expect(await page.textContent(".undo .where")).toContain("columns, from bottom to top");
    await screenshot(page, "undo-box");
    await page.mouse.click(WIDTH / 2, HEIGHT / 2, { button: "right" });
    expect((await page.evaluate(() => window.terrane.undo())).corners).toHaveLength(0);
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
    await server.dispose();
  }
}

test.runIf(REAL)("what somebody did is taken back on the real server, and that is taken back", takeBackInTheViewer);
test.runIf(!REAL)("what somebody did is taken back on the double, and that is taken back", takeBackInTheViewer);
