/** What shall be taken back, as a form; and what comes of it, with buttons to go on. */
import { CHOICES, CHOICE_NAMES, SPANS, USUAL_WISH, type Choice, type UndoButton, type UndoPage, type UndoWish } from "../tools/undo-words.ts";
import { element } from "./elements.ts";

/** What the form shows beside the wish itself. */
export interface UndoForm {
  readonly place: string;
  readonly hasBox: boolean;
  /** Why one can't look; null if one can. */
  readonly fault: string | null;
}

export interface UndoPanelListener {
  /** Something in the form is another. */
  onWish(wish: UndoWish): void;
  onButton(button: UndoButton): void;
  onWholeWorld(): void;
}

const BUTTONS: Readonly<Record<UndoButton, string>> = {
  look: "Look", start: "Take it back", stop: "Stop", again: "Take that back", back: "Something else",
};
const RULES = [{ overwrite: false, name: "theirs stays" }, { overwrite: true, name: "goes back all the same" }] as const;

export class UndoPanel {
  readonly panel = element("div", "panel tool-panel undo");
  private readonly name = element("input", "search");
  private readonly spans = SPANS.map(({ ms, name }) => ({ ms, button: pill(name, () => this.wish({ sinceMs: ms })) }));
  private readonly causes = CHOICES.map((choice) => ({ choice, box: element("input") }));
  private readonly rules = RULES.map(({ overwrite, name }) => ({ overwrite, button: pill(name, () => this.wish({ overwrite })) }));
  private readonly place = element("span", "");
  private readonly wholeWorld: HTMLElement;
  private readonly fault = element("div", "note fault");
  private readonly form: HTMLElement;
  private readonly title = element("div", "asked");
  private readonly lines = element("div", "lines");
  private readonly bar = element("div", "bar", element("div", "done"));
  private readonly buttons = new Map<UndoButton, HTMLButtonElement>();
  private current = USUAL_WISH;
  private shown = "";

  constructor(private readonly listener: UndoPanelListener) {
    this.wholeWorld = pill("whole world", () => listener.onWholeWorld());
    Object.assign(this.name, { placeholder: "everybody, or a name, or undo:N", spellcheck: false, maxLength: 64 });
    this.name.addEventListener("input", () => this.wish({ by: this.name.value.trim() }));
    this.name.addEventListener("keydown", (event) => this.nameKey(event));
    this.form = element("div", "form",
      field("whose changes", this.name),
      field("how long ago", pills(this.spans)),
      field("what did it", element("div", "checks", ...this.causes.map(({ choice, box }) => this.check(choice, box)))),
      field("where", element("div", "where", this.place, this.wholeWorld)),
      field("where others have built since", pills(this.rules)),
      this.fault);
    const buttons = element("div", "buttons", ...(Object.keys(BUTTONS) as UndoButton[]).map((button) => this.button(button)));
    this.panel.append(element("div", "title", "take back"), this.form, this.title, this.lines, this.bar, buttons);
    this.showWish();
  }

  /** Shows the form, or what has come of an undo. */
  show(form: UndoForm, page: UndoPage | null): void {
    const wanted = JSON.stringify([form, page]);
    if (wanted === this.shown) {
      return;
    }
    this.shown = wanted;
    this.form.hidden = page !== null;
    this.place.textContent = form.place;
    this.wholeWorld.hidden = !form.hasBox;
    [this.fault.textContent, this.fault.hidden] = [form.fault ?? "", form.fault === null];
    if (form.fault !== null && page === null) {
      // In a small window it lies below what one sees of the form.
      this.fault.scrollIntoView({ block: "nearest" });
    }
    this.title.textContent = page?.title ?? "";
    this.lines.replaceChildren(...(page?.lines ?? []).map(({ kind, text }) => element("div", kind, text)));
    [this.title.hidden, this.lines.hidden] = [page === null, page === null];
    this.showShare(page?.share ?? null);
    const offered = page?.buttons ?? ["look"];
    this.buttons.forEach((button, name) => {
      button.hidden = !offered.includes(name);
    });
    this.buttons.get("look")!.disabled = form.fault !== null;
  }

  private showShare(share: number | null): void {
    this.bar.hidden = share === null;
    (this.bar.firstChild as HTMLElement).style.width = `${Math.round(100 * (share ?? 0))}%`;
  }

  /** Takes a change of the wish. */
  private wish(change: Partial<UndoWish>): void {
    this.current = { ...this.current, ...change };
    this.showWish();
    this.listener.onWish(this.current);
  }

  private showWish(): void {
    const { sinceMs, causes, overwrite } = this.current;
    this.spans.forEach(({ ms, button }) => button.classList.toggle("chosen", ms === sinceMs));
    this.rules.forEach((rule) => rule.button.classList.toggle("chosen", rule.overwrite === overwrite));
    this.causes.forEach(({ choice, box }) => {
      box.checked = causes.includes(choice);
    });
  }

  private check(choice: Choice, box: HTMLInputElement): HTMLElement {
    box.type = "checkbox";
    box.addEventListener("change", () => {
      this.wish({ causes: this.causes.filter((cause) => cause.box.checked).map((cause) => cause.choice) });
    });
    return withoutFocus(element("label", "check", box, CHOICE_NAMES[choice]));
  }

  private button(name: UndoButton): HTMLButtonElement {
    const button = withoutFocus(element("button", `act ${name}`, BUTTONS[name]));
    button.addEventListener("click", () => this.listener.onButton(name));
    this.buttons.set(name, button);
    return button;
  }

  private nameKey(event: KeyboardEvent): void {
    if (event.key === "Escape" || event.key === "Enter") {
      this.name.blur();
    }
    if (event.key === "Enter") {
      this.buttons.get("look")!.click();
    }
  }
}

function field(label: string, ...children: Node[]): HTMLElement {
  return element("div", "field", element("div", "label", label), ...children);
}

function pills(list: readonly { readonly button: HTMLElement }[]): HTMLElement {
  return element("div", "modes", ...list.map(({ button }) => button));
}

function pill(text: string, onClick: () => void): HTMLButtonElement {
  const button = withoutFocus(element("button", "mode", text));
  button.addEventListener("click", onClick);
  return button;
}

/** A key pressed after a click is for the view, and not for what was clicked. */
function withoutFocus<E extends HTMLElement>(made: E): E {
  made.addEventListener("mousedown", (event) => event.preventDefault());
  return made;
}
