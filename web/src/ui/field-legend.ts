/** What the field shows: its mode, its colours, whether it is current, and what it says of the place looked at. */
import { rampGradient } from "../world/cost-ramp.ts";
import { element } from "./elements.ts";
import { modeButtons, type NamedMode } from "./mode-buttons.ts";

/** All that the legend shows. */
export interface FieldValues {
  readonly modes: readonly NamedMode[];
  readonly chosen: string;
  /** The cost at which the ramp ends; null before there is a field. */
  readonly farthest: number | null;
  readonly state: string;
  readonly isCurrent: boolean;
  readonly lookedAt: string;
}

export class FieldLegend {
  readonly panel = element("div", "panel tool-panel field");
  private readonly modes = element("div", "modes");
  private readonly ramp = element("div", "ramp");
  private readonly end = element("span", "");
  private readonly scale = element("div", "scale", this.ramp, element("div", "row", element("span", "", "0, the goal"), this.end),
    element("div", "row", mark("unreachable", "no way"), mark("too-far", "too far to tell")));
  private readonly lookedAt = element("div", "looked-at");
  private readonly state = element("div", "note");
  private shown = "";

  constructor(private readonly onMode: (name: string) => void) {
    this.ramp.style.background = rampGradient();
    this.panel.append(element("div", "title", "costs to the goal", element("kbd", "", "M")), this.modes, this.scale, this.lookedAt, this.state);
  }

  show({ modes, chosen, farthest, state, isCurrent, lookedAt }: FieldValues): void {
    const wanted = JSON.stringify([modes, chosen]);
    if (wanted !== this.shown) {
      this.shown = wanted;
      this.modes.replaceChildren(...modeButtons(modes, chosen, this.onMode));
    }
    this.scale.hidden = farthest === null;
    this.end.textContent = `${farthest} and more`;
    this.lookedAt.textContent = lookedAt;
    this.state.textContent = state;
    this.state.dataset["current"] = `${isCurrent}`;
  }
}

function mark(kind: string, text: string): HTMLElement {
  return element("span", "", element("span", `swatch ${kind}`), text);
}
