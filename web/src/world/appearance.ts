/** How registry entries are drawn: their drawing class, and the palette that the shaders read. */
import { BlockFlag, type BlockEntry } from "@terrane/client";
import { DrawClass } from "../mesh/layout.ts";

/** Ids per row of the palette texture. */
export const PALETTE_SIDE = 256;

/** A block's name without its states. */
export function plainName(name: string): string {
  return name.split("[")[0]!;
}

/** Flags decide; only glass has no flag of its own and is told by its name. */
export function drawClassOf({ name, flags, light }: BlockEntry, id: number): number {
  const plain = plainName(name);
  if (id === 0 || plain.endsWith("_air")) {
    return DrawClass.nothing;
  }
  if (flags & BlockFlag.liquid && !(flags & BlockFlag.opaque) && light === 0) {
    return DrawClass.liquid;
  }
  if (flags & (BlockFlag.solid | BlockFlag.opaque | BlockFlag.liquid)) {
    const isClear = !(flags & BlockFlag.opaque) && /glass|(^|:|_)ice$/.test(plain);
    return isClear ? DrawClass.glass : DrawClass.filled;
  }
  return DrawClass.plant;
}

/** DrawClass by block id. */
export function drawClasses(blocks: readonly BlockEntry[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(blocks, drawClassOf);
}

/**
 * Two RGBA squares of 256×256 ids, one above the other: first the colour with the light in alpha
 * (17 per step), then the colour of the sides below the fringe with the surface in alpha.
 */
export function buildPalette(blocks: readonly BlockEntry[]): Uint8Array<ArrayBuffer> {
  const half = 4 * PALETTE_SIDE * PALETTE_SIDE;
  const palette = new Uint8Array(2 * half);
  const soil = blocks.find(({ name }) => /(^|:)dirt$/.test(plainName(name)));
  blocks.forEach((block, id) => {
    const isTurf = soil !== undefined && /(^|:)(grass|grass_block|turf)$/.test(plainName(block.name));
    palette.set([...block.color, block.light * 17], 4 * id);
    palette.set(isTurf ? soil.color : block.color, half + 4 * id);
    palette[half + 4 * id + 3] = surfaceOf(block);
  });
  return palette;
}

/** The shaders' kinds of surface: 255 liquid, 128 foliage (solid, yet one could see through), 0 any other. */
function surfaceOf({ flags, name }: BlockEntry): number {
  if (flags & BlockFlag.liquid) {
    return 255;
  }
  return !(flags & BlockFlag.opaque) && /leaves|foliage|bush/.test(plainName(name)) ? 128 : 0;
}

/** A block's colour for style sheets. */
export function cssColor({ color: [red, green, blue] }: BlockEntry): string {
  return `rgb(${red}, ${green}, ${blue})`;
}
