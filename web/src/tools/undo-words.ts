/** What is asked of an undo, and what has come of it, in sentences. Pure: the panel only shows them. */
import { ChangeCause, MAX_NAME_BYTES, UndoRefusal, type Undo, type UndoOptions, type UndoPlan, type UndoProgress } from "@terrane/client";

/** Causes that one can choose. */
export const CHOICES = ["edit", "blast", "collapse", "dig"] as const;
export type Choice = (typeof CHOICES)[number];

/** What the form says. */
export interface UndoWish {
  /** A name, `actor:N`, or `undo:N` for what an undo did; empty for everybody. */
  readonly by: string;
  /** 0 for as long as history goes back. */
  readonly sinceMs: number;
  readonly causes: readonly Choice[];
  readonly overwrite: boolean;
}

export const CHOICE_NAMES: Readonly<Record<Choice, string>> = { edit: "edits", blast: "blasts", collapse: "collapses", dig: "digging" };

/** How long ago it may have been. */
export const SPANS = [
  { ms: 600_000, name: "10 min", words: "the last 10 minutes" }, { ms: 3_600_000, name: "1 h", words: "the last hour" },
  { ms: 86_400_000, name: "1 day", words: "the last day" }, { ms: 0, name: "everything", words: "" },
] as const;

/** What the form says at first. */
export const USUAL_WISH: UndoWish = { by: "", sinceMs: SPANS[0].ms, causes: CHOICES, overwrite: false };

const CHANGED: Readonly<Record<number, string>> = {
  [ChangeCause.edit]: "by hand", [ChangeCause.blast]: "by blasts", [ChangeCause.collapse]: "by collapses",
  [ChangeCause.landing]: "by landing", [ChangeCause.slide]: "by sliding", [ChangeCause.dig]: "by agents that dig",
  [ChangeCause.undo]: "by an undo",
};

const REFUSALS: Readonly<Record<number, string>> = {
  [UndoRefusal.notFromHere]: "Only somebody on the server's own machine may take changes back.",
  [UndoRefusal.nobody]: "Nothing of that name or number is in history.",
  [UndoRefusal.tooMuch]: "That is too much at once. Choose a box, or less time.",
  [UndoRefusal.anotherGoesOn]: "There is another undo, which goes on or was cut off.",
  [UndoRefusal.history]: "The history can't be read.",
  [UndoRefusal.noPlan]: "What was looked at does not hold any more. Look again.",
  [UndoRefusal.world]: "The world takes no changes.",
};

/** Why there is no asking for it, or null. */
export function wishFault({ by, causes }: UndoWish): string | null {
  if (causes.length === 0) {
    return "choose at least one cause";
  }
  return new TextEncoder().encode(by).length > MAX_NAME_BYTES ? "no name is that long" : null;
}

/** What is asked of the server. */
export function wishOptions({ by, sinceMs, causes, overwrite }: UndoWish, box: UndoOptions["box"]): UndoOptions {
  const rule = overwrite ? "overwrite" : "keep";
  const undo = /^undo:(\d{1,19})$/.exec(by)?.[1];
  return undo === undefined ? { by, sinceMs, causes, box, rule } : { undo: BigInt(undo), rule };
}

/** What an undo takes back, in words. */
export function wishText({ by = "", causes = [], box = null, sinceMs = 0, undo = 0n }: UndoOptions): string {
  if (undo !== 0n) {
    return `What undo ${undo} has taken back`;
  }
  const named = CHOICES.filter((choice) => causes.includes(choice)).map((choice) => CHOICE_NAMES[choice]);
  const what = named.length === 0 || named.length === CHOICES.length ? "everything" : listed(named);
  const span = SPANS.find(({ ms }) => ms === sinceMs)?.words ?? "";
  const text = `${what}${by === "" ? "" : ` by ${by}`}${span === "" ? "" : ` in ${span}`}${box === null ? "" : ", inside the box"}`;
  return capital(text);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function sentence(text: string): string {
  return /[.!?…]$/.test(text) ? capital(text) : `${capital(text)}.`;
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** What can be clicked. */
export type UndoButton = "look" | "start" | "stop" | "again" | "back";

/** A sentence, and how much it matters. */
export interface UndoLine {
  readonly kind: "main" | "more" | "conflict" | "fault";
  readonly text: string;
}

/** All that the panel shows of an undo. */
export interface UndoPage {
  readonly title: string;
  readonly lines: readonly UndoLine[];
  /** How much of it is done, 0 to 1; null where nothing is under way. */
  readonly share: number | null;
  readonly buttons: readonly UndoButton[];
}

/** What one knows of an undo. */
export type UndoView = Pick<Undo, "state" | "options" | "plan" | "progress" | "error" | "isGhostCut" | "number">;

export function undoPage(undo: UndoView): UndoPage {
  const title = wishText(undo.options);
  const over: readonly UndoButton[] = undo.number === null ? ["back"] : ["again", "back"];
  switch (undo.state) {
    case "asking": return { title, lines: [line("more", "Being looked up …")], share: null, buttons: ["back"] };
    case "waiting": return { title, lines: [line("more", "Something falls. It is looked up when nothing does …")], share: null, buttons: ["back"] };
    case "planned": {
      const isNothing = undo.plan!.voxels === 0n;
      return { title, lines: planLines(undo.plan!, undo), share: null, buttons: isNothing ? ["back"] : ["start", "back"] };
    }
    case "going": return { title, lines: goingLines(undo), share: undo.number === null ? 0 : shareOf(undo.progress!), buttons: ["stop"] };
    case "done": return { title, lines: doneLines(undo.progress!), share: null, buttons: over };
    case "ended": return { title, lines: endedLines(undo.progress), share: null, buttons: over };
    case "refused": return { title, lines: refusedLines(undo), share: null, buttons: over };
  }
}

function line(kind: UndoLine["kind"], text: string): UndoLine {
  return { kind, text };
}

function count(value: bigint | number): string {
  return value.toLocaleString("en");
}

function voxels(value: bigint): string {
  return `${count(value)} voxel${value === 1n ? "" : "s"}`;
}

function planLines(plan: UndoPlan, { options, isGhostCut }: UndoView): UndoLine[] {
  const chunks = `${count(plan.chunks)} chunk${plan.chunks === 1 ? "" : "s"}`;
  const lines = [line("main", plan.voxels === 0n ? "Nothing would change." : `${voxels(plan.voxels)} in ${chunks} would go back.`)];
  const add = (isTold: boolean, kind: UndoLine["kind"], text: string) => void (isTold && lines.push(line(kind, text)));
  const shares = plan.causes.map((share) => `${count(share.voxels)} ${CHANGED[share.cause]}`);
  add(shares.length > 0, "more", `Changed last: ${shares.join(", ")}.`);
  add(plan.unchanged > 0n, "more", `${voxels(plan.unchanged)} ${plan.unchanged === 1n ? "is as it was" : "are as they were"} already.`);
  lines.push(...conflictLines(plan, options.rule === "overwrite"));
  add(plan.unknown > 0n, "fault",
    `${voxels(plan.unknown)} lie in chunks that were loaded whole since: what they were can't be known.`);
  add(plan.historyFrom > 0n, "fault", `History goes back to tick ${count(plan.historyFrom)} only; what was before it stays.`);
  add(plan.gaps > 0, "fault", `History has ${count(plan.gaps)} gap${plan.gaps === 1 ? "" : "s"}: more may have happened than is told.`);
  add(isGhostCut, "more", "The view shows a part of it, around the place where most would change.");
  return lines;
}

function conflictLines({ conflicts, others, voxels: goBack }: UndoPlan, isOverwritten: boolean): UndoLine[] {
  if (conflicts === 0n) {
    return goBack === 0n ? [] : [line("more", "Nobody else has built there since.")];
  }
  const fate = conflicts === 1n
    ? isOverwritten ? "goes back all the same" : "stays as it is"
    : isOverwritten ? "go back all the same" : "stay as they are";
  return [
    line("conflict", `${voxels(conflicts)} that others have changed since ${fate}:`),
    ...others.map(({ name, cause, voxels: changed }) => line("conflict", `${name}, ${count(changed)} ${CHANGED[cause]}`)),
  ];
}

function shareOf({ looked, of }: UndoProgress): number {
  return of === 0n ? 0 : Number(looked) / Number(of);
}

function stayedLines({ stayed }: UndoProgress): UndoLine[] {
  const words = stayed === 1n ? "was something else by then, and stayed" : "were something else by then, and stayed";
  return stayed === 0n ? [] : [line("conflict", `${count(stayed)} ${words}.`)];
}

function goingLines({ number, progress, plan }: UndoView): UndoLine[] {
  if (number === null || progress === null) {
    return [line("main", `0 of ${voxels(plan!.voxels)}.`)];
  }
  return [line("main", `${count(progress.looked)} of ${voxels(progress.of)}.`), ...stayedLines(progress)];
}

function doneLines(progress: UndoProgress): UndoLine[] {
  const back = progress.looked - progress.stayed;
  return [
    line("main", `Done: ${voxels(back)} went back.`), ...stayedLines(progress),
    line("more", `It is undo ${progress.undo}, and can be taken back itself.`),
  ];
}

function endedLines(progress: UndoProgress | null): UndoLine[] {
  if (progress === null || progress.undo === 0n) {
    return [line("main", "Ended before it began: nothing has changed.")];
  }
  return [
    line("main", `Ended after ${count(progress.looked)} of ${voxels(progress.of)}.`), ...stayedLines(progress),
    line("more", `What had gone back stays so. It is undo ${progress.undo}, and can be taken back itself.`),
  ];
}

function refusedLines({ error, number }: UndoView): UndoLine[] {
  const lines = [line("fault", REFUSALS[error?.code ?? 0] ?? "The server refused it.")];
  if (error !== null && error.message !== "") {
    lines.push(line("more", sentence(error.message)));
  }
  return number === null ? lines : [...lines, line("more", `It is undo ${number}.`)];
}
