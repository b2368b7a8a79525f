/** How movement modes look. */

/** The colours of docs/pictures/ways.png, brighter, for the modes that are built in. */
const BUILT_IN: Readonly<Record<string, string>> = { ground: "#ff4b3a", fly: "#38a9ff", tunnel: "#c45bff" };
const OTHERS = ["#ffd23d", "#3dffa8", "#ff8ad1", "#ffffff", "#ff9a3d", "#a4ff3d", "#3dfff2", "#b8b0ff"] as const;

/** A mode's colour: of its name if it is built in, else by its place among the modes of the world. */
export function modeColor(name: string, place: number): string {
  return BUILT_IN[name] ?? OTHERS[place % OTHERS.length]!;
}

/** Red, green and blue of `#rrggbb`, 0 to 1 each. */
export function colorParts(color: string): readonly [number, number, number] {
  const part = (at: number) => parseInt(color.slice(at, at + 2), 16) / 255;
  return [part(1), part(3), part(5)];
}
