/** What came of the question for a way, mode by mode. */
import { element } from "./elements.ts";

/** A line of the legend. */
export interface WayLine {
  readonly mode: string;
  readonly color: string;
  readonly text: string;
  /** Whether there is something to see in the world. */
  readonly isDrawn: boolean;
}

export class WayLegend {
  readonly panel = element("div", "panel tool-panel ways");
  private shown = "";

  /** `hint` says what to do, or of when the answers are. */
  show(lines: readonly WayLine[], hint: string): void {
    const wanted = JSON.stringify([lines, hint]);
    if (wanted === this.shown) {
      return;
    }
    this.shown = wanted;
    const rows = lines.map(({ mode, color, text, isDrawn }) => {
      const swatch = element("span", "line");
      swatch.style.background = color;
      const row = element("div", isDrawn ? "way" : "way missing", swatch, element("b", "", mode), element("span", "", text));
      row.dataset["mode"] = mode;
      return row;
    });
    this.panel.replaceChildren(element("div", "title", "ways from A to B"), ...rows, element("div", "note", hint));
  }
}
