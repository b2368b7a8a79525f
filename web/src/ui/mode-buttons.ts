/** A button for each movement mode of the world, in its colour. */
import { element } from "./elements.ts";

export interface NamedMode {
  readonly name: string;
  readonly color: string;
}

export function modeButtons(modes: readonly NamedMode[], chosen: string, onMode: (name: string) => void): HTMLElement[] {
  return modes.map(({ name, color }) => {
    const swatch = element("span", "line");
    swatch.style.background = color;
    const button = element("button", name === chosen ? "mode chosen" : "mode", swatch, name);
    button.addEventListener("click", () => onMode(name));
    // A key pressed after a click is for the view, not for the button.
    button.addEventListener("mousedown", (event) => event.preventDefault());
    return button;
  });
}
