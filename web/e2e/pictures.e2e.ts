/** Pictures from several places, for people to look at; PICTURES names places as `name=query` split at spaces. */
import { openBrowser, openViewer, pixels, screenshot, settled } from "./browser.ts";
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
