/** Keyboard, mouse and pointer lock, turned into state and commands. */

/** What a key or button asks for, once. */
export type Command =
  | { readonly kind: "fly" } | { readonly kind: "borders" } | { readonly kind: "picker" }
  | { readonly kind: "help" } | { readonly kind: "pick" } | { readonly kind: "support" }
  | { readonly kind: "light" } | { readonly kind: "tool"; readonly name: string } | { readonly kind: "mode" }
  | { readonly kind: "dig" | "place"; readonly isRepeated: boolean } | { readonly kind: "step" | "wheel"; readonly step: number }
  | { readonly kind: "distance"; readonly step: number } | { readonly kind: "slot"; readonly index: number };

const KEY_COMMANDS: Readonly<Record<string, Command>> = {
  KeyF: { kind: "fly" }, KeyB: { kind: "borders" }, KeyE: { kind: "picker" }, KeyH: { kind: "help" },
  KeyX: { kind: "tool", name: "bomb" }, KeyP: { kind: "tool", name: "ways" }, KeyG: { kind: "tool", name: "field" },
  KeyC: { kind: "tool", name: "crowd" }, KeyU: { kind: "tool", name: "undo" },
  KeyM: { kind: "mode" }, Comma: { kind: "step", step: -1 }, Period: { kind: "step", step: 1 },
  KeyV: { kind: "support" }, KeyL: { kind: "light" },
  BracketLeft: { kind: "distance", step: -1 }, BracketRight: { kind: "distance", step: 1 },
  Minus: { kind: "distance", step: -1 }, Equal: { kind: "distance", step: 1 },
};
const BUTTON_COMMANDS: readonly Command[] = [
  { kind: "dig", isRepeated: false }, { kind: "pick" }, { kind: "place", isRepeated: false },
];
const REPEAT_MS = 220;
const DEGREES_PER_PIXEL = 0.12;

/** Listens to the page; the owner looks at it once a frame. */
export class Input {
  yaw = 0;
  pitch = 0;
  flySpeed = 14;
  private readonly keys = new Set<string>();
  private heldButton: number | null = null;
  private repeatAtMs = 0;

  /** `isTest`: clicks count without pointer lock too, since a test's browser may not grant it. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly onCommand: (command: Command) => void,
    private readonly isTest: boolean,
  ) {
    document.addEventListener("keydown", (event) => this.keyDown(event));
    document.addEventListener("keyup", (event) => this.keys.delete(event.code));
    window.addEventListener("blur", () => this.release());
    document.addEventListener("pointerlockchange", () => this.release());
    document.addEventListener("mousemove", (event) => this.mouseMove(event));
    canvas.addEventListener("mousedown", (event) => this.buttonDown(event));
    document.addEventListener("mouseup", () => { this.heldButton = null; });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: true });
  }

  /** Whether the mouse steers the view. */
  get isLocked(): boolean {
    return document.pointerLockElement === this.canvas;
  }

  /** Whether a key is down. */
  isDown(...codes: string[]): boolean {
    return codes.some((code) => this.keys.has(code));
  }

  /** −1, 0 or 1 from two opposite keys. */
  axis(positive: string, negative: string): number {
    return Number(this.keys.has(positive)) - Number(this.keys.has(negative));
  }

  /** Repeats a held dig or place. */
  repeat(nowMs: number): void {
    if (this.heldButton !== null && nowMs >= this.repeatAtMs) {
      this.repeatAtMs = nowMs + REPEAT_MS;
      this.onCommand({ ...BUTTON_COMMANDS[this.heldButton]!, isRepeated: true } as Command);
    }
  }

  /** Gives the mouse to the view. */
  lock(): void {
    // A refusal (no gesture, a headless browser) leaves the page usable as it is.
    void Promise.resolve(this.canvas.requestPointerLock()).catch(() => undefined);
  }

  private release(): void {
    this.keys.clear();
    this.heldButton = null;
  }

  private keyDown(event: KeyboardEvent): void {
    if (event.target instanceof HTMLInputElement && event.target.type !== "range") {
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (event.code === "Space" || event.code === "Tab") {
      event.preventDefault();
    }
    this.keys.add(event.code);
    const slot = /^Digit([1-9])$/.exec(event.code);
    const command = slot ? { kind: "slot", index: Number(slot[1]) - 1 } as const : KEY_COMMANDS[event.code];
    if (command !== undefined && !event.repeat) {
      event.preventDefault();
      this.onCommand(command);
    }
  }

  private mouseMove(event: MouseEvent): void {
    if (this.isLocked) {
      this.yaw = (this.yaw + event.movementX * DEGREES_PER_PIXEL + 360) % 360;
      this.pitch = Math.max(-89.9, Math.min(89.9, this.pitch - event.movementY * DEGREES_PER_PIXEL));
    }
  }

  private buttonDown(event: MouseEvent): void {
    event.preventDefault();
    // Who was writing into a panel has done with it.
    this.canvas.focus({ preventScroll: true });
    const wasLocked = this.isLocked;
    if (!wasLocked) {
      this.lock();
    }
    const command = BUTTON_COMMANDS[event.button];
    if (command !== undefined && (wasLocked || this.isTest)) {
      this.onCommand(command);
      this.heldButton = wasLocked && event.button !== 1 ? event.button : null;
      this.repeatAtMs = performance.now() + REPEAT_MS;
    }
  }

  private wheel(event: WheelEvent): void {
    this.onCommand({ kind: "wheel", step: event.deltaY < 0 ? 1 : -1 });
  }

  /** Makes flying faster or slower by a step. */
  changeFlySpeed(step: number): void {
    this.flySpeed = Math.max(2, Math.min(200, this.flySpeed * 1.2 ** step));
  }
}
