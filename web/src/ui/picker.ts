/** The searchable grid of all blocks that the registry offers. */
import { BlockFlag, type BlockEntry } from "@terrane/client";
import { cssColor } from "../world/appearance.ts";
import { element } from "./elements.ts";

/** Opens over the view; a click chooses. */
export class BlockPicker {
  private readonly panel = element("div", "panel picker");
  private readonly search = element("input", "search");
  private readonly grid = element("div", "grid");
  private blocks: readonly BlockEntry[] = [];

  constructor(root: HTMLElement, private readonly onChoose: (id: number) => void, private readonly onClose: () => void) {
    this.search.placeholder = "Search blocks";
    this.search.spellcheck = false;
    this.search.addEventListener("input", () => this.fill());
    this.search.addEventListener("keydown", (event) => this.searchKey(event));
    this.panel.append(this.search, this.grid);
    this.panel.hidden = true;
    root.append(this.panel);
  }

  /** Whether it is open. */
  get isOpen(): boolean {
    return !this.panel.hidden;
  }

  /** Takes the registry. */
  setBlocks(blocks: readonly BlockEntry[]): void {
    this.blocks = blocks;
    if (this.isOpen) {
      this.fill();
    }
  }

  /** Opens or closes it. */
  toggle(): void {
    this.panel.hidden = !this.panel.hidden;
    if (this.isOpen) {
      document.exitPointerLock();
      this.search.value = "";
      this.fill();
      this.search.focus();
    } else {
      this.search.blur();
      this.onClose();
    }
  }

  private searchKey(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      this.toggle();
    } else if (event.key === "Enter") {
      this.grid.querySelector<HTMLElement>(".choice")?.click();
    }
  }

  private fill(): void {
    const wanted = this.search.value.trim().toLowerCase();
    const choices = this.blocks.flatMap((block, id) => {
      const isShown = (block.flags & BlockFlag.picker) !== 0 && block.name.toLowerCase().includes(wanted);
      return isShown ? [this.choice(block, id)] : [];
    });
    this.grid.replaceChildren(...(choices.length > 0 ? choices : ["No block has such a name."]));
  }

  private choice(block: BlockEntry, id: number): HTMLElement {
    const swatch = element("span", "swatch");
    swatch.style.background = cssColor(block);
    const choice = element("button", "choice", swatch, element("span", "name", block.name.replaceAll("_", " ")));
    choice.title = block.name;
    choice.addEventListener("click", () => {
      this.onChoose(id);
      this.toggle();
    });
    return choice;
  }
}
