/** The crowds that are seen: how many agents of which mode, and whose. */
import { element } from "./elements.ts";
import { modeButtons, type NamedMode } from "./mode-buttons.ts";

/** All that the legend shows. */
export interface CrowdValues {
  readonly modes: readonly NamedMode[];
  readonly chosen: string;
  readonly crowds: readonly { readonly mode: string; readonly color: string; readonly agents: number; readonly isOwn: boolean }[];
  readonly hint: string;
}

export class CrowdLegend {
  readonly panel = element("div", "panel tool-panel crowd");
  private readonly modes = element("div", "modes");
  private readonly list = element("div", "");
  private readonly note = element("div", "note");
  private shown = "";

  constructor(private readonly onMode: (name: string) => void) {
    this.panel.append(element("div", "title", "crowds", element("kbd", "", "M")), this.modes, this.list, this.note);
  }

  show({ modes, chosen, crowds, hint }: CrowdValues): void {
    const wanted = JSON.stringify([modes, chosen]);
    if (wanted !== this.shown) {
      this.shown = wanted;
      this.modes.replaceChildren(...modeButtons(modes, chosen, this.onMode));
    }
    this.list.replaceChildren(...crowds.map(({ mode, color, agents, isOwn }) => {
      const swatch = element("span", "line");
      swatch.style.background = color;
      const text = `${agents.toLocaleString("en")} on their way${isOwn ? "" : ", another's"}`;
      return element("div", "way", swatch, element("b", "", mode), element("span", "", text));
    }));
    this.note.textContent = hint;
  }
}
