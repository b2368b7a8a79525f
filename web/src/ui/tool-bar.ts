/** The buttons of tools and switches, above the view. */
import type { Command } from "../player/input.ts";
import { element } from "./elements.ts";

/** A button. */
export interface BarItem {
  readonly name: string;
  /** The key that does the same. */
  readonly letter: string;
  readonly command: Command;
}

/** What a button shows. */
export interface BarState {
  readonly text: string;
  readonly isChosen: boolean;
}

export class ToolBar {
  private readonly buttons = new Map<string, { readonly button: HTMLElement; readonly item: BarItem }>();

  constructor(root: HTMLElement, items: readonly BarItem[], onCommand: (command: Command) => void) {
    for (const item of items) {
      const button = element("button", "tool");
      button.addEventListener("click", () => onCommand(item.command));
      // A key pressed after a click is for the view, not for the button.
      button.addEventListener("mousedown", (event) => event.preventDefault());
      this.buttons.set(item.name, { button, item });
    }
    root.append(element("div", "tools", ...[...this.buttons.values()].map(({ button }) => button)));
  }

  /** Shows a button as it is now. */
  show(name: string, { text, isChosen }: BarState): void {
    const { button, item } = this.buttons.get(name)!;
    button.classList.toggle("chosen", isChosen);
    if (button.dataset["text"] !== text) {
      button.dataset["text"] = text;
      button.replaceChildren(text, element("kbd", "", item.letter));
    }
  }
}
