/** A second visit: what the browser has kept is not sent again, and what somebody else changed meanwhile is seen. */
import { openBrowser, openViewer, settled } from "./browser.ts";
import { makeServer } from "./servers.ts";

test.runIf(process.env["TERRANE_BIN"])("on a second visit only what has changed is sent, across a restart of the server", async () => {
  const server = makeServer(7_787);
  const browser = await openBrowser(480, 320);
  const faults: string[] = [];
  try {
    await server.start();
    const address = `${server.origin}/?test=1&fly=1&distance=3`;
    const first = await openViewer(browser.context, address, faults);
    await settled(first);
    const before = await first.evaluate(() => window.terrane.state());
    expect(before.received).toMatchObject({ same: 0, snapshots: before.chunksHeld });
    await first.waitForFunction(() => {
      const { kept, chunksHeld } = window.terrane.state();
      return kept.unwritten === 0 && kept.chunks >= chunksHeld;
    });
    await first.close();

    // Somebody else digs, and keeps nothing.
    const other = await openViewer(browser.context, `${address}&keep=0`, faults);
    await settled(other);
    // Deep in the rock, where nothing falls for it.
    const place = await other.evaluate(() => {
      const [x, top, z] = window.terrane.state().position.map(Math.floor) as [number, number, number];
      const depths = Array.from({ length: 60 }, (_, depth) => top - 20 - depth);
      const y = depths.find((depth) => window.terrane.block(x, depth, z) === "stone");
      return [x, y ?? top, z] as const;
    });
    expect(await other.evaluate((p) => window.terrane.edit(p[0], p[1], p[2], "oak_planks"), place)).toBe(true);
    await other.waitForFunction((p) => window.terrane.block(p[0], p[1], p[2]) === "oak_planks"
      && window.terrane.state().unacknowledged === 0, place);
    expect((await other.evaluate(() => window.terrane.state())).kept).toEqual({ chunks: 0, unwritten: 0 });
    await other.close();
    await server.kill();
    await server.start();

    const second = await openViewer(browser.context, address, faults);
    await settled(second);
    const after = await second.evaluate(() => window.terrane.state());
    expect(after.chunksHeld).toBe(before.chunksHeld);
    expect(await second.evaluate((p) => window.terrane.block(p[0], p[1], p[2]), place)).toBe("oak_planks");
    // What remembered changes went with the server, so that one chunk comes whole.
    expect(after.received.snapshots + after.received.changes).toBeGreaterThanOrEqual(1);
    expect(after.received.snapshots).toBeLessThanOrEqual(2);
    expect(after.received.same).toBeGreaterThanOrEqual(before.chunksHeld - 2);
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
    await server.dispose();
  }
});
