/** The heads-up display: place, connection, counts, hot-bar, legend, help. */
import type { BlockEntry, ConnectionState, Position } from "@terrane/client";
import { BORDER_COLORS, BORDER_SIZES, type BorderMode } from "../render/lines.ts";
import type { Command } from "../player/input.ts";
import type { Tool } from "../tools/tool.ts";
import { cssColor } from "../world/appearance.ts";
import { element } from "./elements.ts";
import { ToolBar, type BarItem } from "./tool-bar.ts";

/** All that the display shows, gathered once per refresh. */
export interface HudValues {
  readonly position: Position;
  readonly yaw: number;
  readonly pitch: number;
  readonly isFlying: boolean;
  readonly flySpeed: number;
  readonly framesPerSecond: number;
  readonly chunksHeld: number;
  readonly chunksMeshed: number;
  readonly tick: bigint;
  readonly roundTripMs: number | null;
  readonly connection: ConnectionState;
  readonly nowMs: number;
  readonly unacknowledged: number;
  readonly lookedAt: string | null;
  /** Bodies on their way down. */
  readonly falling: number;
}

/** What can be switched on beside the tools. */
export interface SwitchValues {
  readonly isSupportShown: boolean;
  readonly isLit: boolean;
}

const SWITCHES: readonly BarItem[] = [
  { name: "support", letter: "V", command: { kind: "support" } }, { name: "light", letter: "L", command: { kind: "light" } },
];
const COMPASS = ["north −z", "north-east", "east +x", "south-east", "south +z", "south-west", "west −x", "north-west"];
/** A key and what it does. */
type KeyLine = readonly [key: string, what: string];
const KEYS: readonly KeyLine[] = [
  ["W A S D", "move"], ["Space / Shift", "up, jump / down"], ["F", "fly or walk"],
  ["Wheel", "flying speed, or as , and ."],
  ["Left / right click", "dig / place"], ["Middle click", "take the block looked at"], ["1 – 9", "choose a slot"],
];
const TOOL_KEYS: readonly KeyLine[] = [[",  .", "the bomb's power, the height of a field in the air"], ["M", "the field's next mode"]];
const MORE_KEYS: readonly KeyLine[] = [
  ["V", "what holds the blocks"], ["L", "shade by light, or all bright"], ["E", "all blocks"], ["B", "borders: chunk, region, column"],
  ["[  ]", "view distance"], ["H", "this help"], ["Esc", "free the mouse"],
];

/** Builds the display once and refreshes its texts. */
export class Hud {
  private readonly rows = new Map<string, HTMLElement>();
  private readonly status = element("div", "panel status");
  private readonly notice = element("div", "panel notice");
  private readonly legend = element("div", "panel legend");
  private readonly hotbar = element("div", "hotbar");
  private readonly help = element("div", "panel help");
  private readonly bar: ToolBar;
  private readonly supportLegend = element("div", "panel support", element("div", "", "what holds a block"),
    element("div", "ramp"), element("div", "row", element("span", "", "next to nothing"), element("span", "", "most")),
    element("div", "", element("span", "swatch anchored"), "anchored"));
  private readonly hint = element("div", "panel hint", "Click to look around");
  private noticeTimer = 0;

  constructor(root: HTMLElement, distanceControls: HTMLElement, private readonly tools: readonly Tool[], onCommand: (command: Command) => void) {
    const place = element("div", "panel place", element("div", "brand", "Terrane"));
    for (const label of ["voxel", "chunk", "region", "looking", "moving", "block"]) {
      place.append(this.row(label));
    }
    const counts = element("div", "panel counts", this.status);
    for (const label of ["frames", "chunks", "falling", "tick", "edits"]) {
      counts.append(this.row(label));
    }
    counts.append(distanceControls);
    this.status.className = "status";
    this.help.append(element("h2", "", "Keys"), ...keyLines(tools).map(([key, what]) =>
      element("div", "key", element("kbd", "", key), element("span", "", what))));
    this.legend.hidden = true;
    this.notice.hidden = true;
    this.help.hidden = true;
    this.bar = new ToolBar(root, [...tools.map(toolItem), ...SWITCHES], onCommand);
    const panels = tools.flatMap(({ panel }) => (panel === undefined ? [] : [panel]));
    root.append(element("div", "tool-panels", ...panels, this.supportLegend));
    root.append(place, counts, this.legend, this.notice, this.help, this.hint, element("div", "crosshair"), this.hotbar);
  }

  /** Shows new values. */
  refresh(values: HudValues): void {
    const [x, y, z] = values.position.map(Math.floor) as unknown as Position;
    this.set("voxel", `${x}  ${y}  ${z}`);
    this.set("chunk", `${x >> 5}  ${y >> 5}  ${z >> 5}`);
    this.set("region", `${x >> 7}  ${y >> 8}  ${z >> 7}`);
    this.set("looking", `${COMPASS[Math.round(values.yaw / 45) % 8]}  ${values.yaw.toFixed(0)}° ${values.pitch.toFixed(0)}°`);
    this.set("moving", values.isFlying ? `flying, ${values.flySpeed.toFixed(0)} m/s` : "walking");
    this.set("block", values.lookedAt ?? "–");
    this.set("frames", `${values.framesPerSecond.toFixed(0)} per second`);
    this.set("chunks", `${values.chunksMeshed} drawn of ${values.chunksHeld}`);
    this.set("falling", values.falling === 0 ? "nothing" : `${values.falling} bodies`);
    this.set("tick", `${values.tick}${values.roundTripMs === null ? "" : `  ·  ${values.roundTripMs} ms`}`);
    this.set("edits", values.unacknowledged === 0 ? "all on disk" : `${values.unacknowledged} waiting`);
    this.showConnection(values.connection, values.nowMs);
  }

  /** Says something for a few seconds. */
  say(text: string): void {
    this.notice.textContent = text;
    this.notice.hidden = false;
    clearTimeout(this.noticeTimer);
    this.noticeTimer = window.setTimeout(() => { this.notice.hidden = true; }, 4_000);
  }

  /** Opens or closes the list of keys. */
  toggleHelp(): void {
    this.help.hidden = !this.help.hidden;
  }

  /** The hint stands while the mouse is free. */
  showHint(isShown: boolean): void {
    this.hint.hidden = !isShown;
  }

  /** Shows which tool is in hand. */
  showTools(isInHand: (tool: Tool) => boolean): void {
    for (const tool of this.tools) {
      this.bar.show(tool.name, { text: tool.label(isInHand(tool)), isChosen: isInHand(tool) });
    }
  }

  /** Shows which switches are on. */
  showSwitches({ isSupportShown, isLit }: SwitchValues): void {
    this.bar.show("support", { text: "support", isChosen: isSupportShown });
    this.bar.show("light", { text: "light", isChosen: isLit });
    this.supportLegend.hidden = !isSupportShown;
  }

  /** Names what the border lines mean. */
  showLegend(mode: BorderMode): void {
    this.legend.hidden = mode === "off";
    const swatch = element("span", "swatch");
    swatch.style.background = BORDER_COLORS[mode];
    const size = BORDER_SIZES[mode].join(" × ");
    this.legend.replaceChildren(swatch, element("b", "", mode), ` ${size} voxels`);
  }

  /** Draws the slots. */
  showHotbar(slots: readonly (BlockEntry | null)[], chosen: number): void {
    this.hotbar.replaceChildren(...slots.map((block, index) => {
      const slot = element("div", index === chosen ? "slot chosen" : "slot", element("span", "number", `${index + 1}`));
      const swatch = element("span", "swatch");
      swatch.style.background = block === null ? "transparent" : cssColor(block);
      slot.title = block?.name ?? "empty";
      slot.append(swatch);
      return slot;
    }), element("div", "slot-name", slots[chosen]?.name ?? ""));
  }

  private showConnection(state: ConnectionState, nowMs: number): void {
    this.status.dataset["phase"] = state.phase;
    this.status.textContent = connectionText(state, nowMs);
  }

  private row(label: string): HTMLElement {
    const value = element("span", "value", "–");
    this.rows.set(label, value);
    return element("div", "row", element("span", "label", label), value);
  }

  private set(label: string, text: string): void {
    const value = this.rows.get(label)!;
    if (value.textContent !== text) {
      value.textContent = text;
    }
  }
}

function toolItem({ name, letter }: Tool): BarItem {
  return { name, letter, command: { kind: "tool", name } };
}

function keyLines(tools: readonly Tool[]): readonly KeyLine[] {
  return [...KEYS, ...tools.map(({ letter, help }) => [letter, help] as const), ...TOOL_KEYS, ...MORE_KEYS];
}

function connectionText(state: ConnectionState, nowMs: number): string {
  const wait = (atMs: number) => `${Math.max(0, Math.ceil((atMs - nowMs) / 1_000))} s`;
  switch (state.phase) {
    case "connecting": return "connecting …";
    case "live": return "live";
    case "reconnecting": return `reconnecting in ${wait(state.atMs)}: ${state.reason}`;
    case "refused": return `refused (${state.code}): ${state.reason} Trying again in ${wait(state.atMs)}.`;
    case "closed": return "closed";
  }
}
