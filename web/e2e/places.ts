/** Places in a world that nobody has seen before. */
import type { Page } from "playwright-core";

/** A voxel. */
export type Place = readonly [number, number, number];

/** Firm ground near a place with nothing but air above: the top voxel of its column. */
export async function firmGroundNear(page: Page, [x, , z]: Place): Promise<Place> {
  const found = await page.evaluate(([px, pz]) => {
    for (let ring = 0; ring < 48; ring += 1) {
      for (const [dx, dz] of [[ring, 0], [0, ring], [-ring, 0], [0, -ring], [ring, ring], [-ring, -ring]]) {
        for (let y = 250; y > -250; y -= 1) {
          const name = window.terrane.block(px! + dx!, y, pz! + dz!);
          if (name !== null && name !== "air") {
            if (/^(grass_block|grass$|dirt|stone|podzol|snow_block|andesite|granite)/.test(name)) {
              return [px! + dx!, y, pz! + dz!] as const;
            }
            break;
          }
        }
      }
    }
    return null;
  }, [x, z]);
  expect(found, "there is firm ground near the spawn").not.toBeNull();
  return found!;
}
