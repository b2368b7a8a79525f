/** Questions for the ways of several modes: so many at a time, and called off together. */
import { PathRefusedError, type Way } from "@terrane/client";

/** Of the 32 requests that a client may have open; a field wants one too. */
export const MOST_OPEN = 16;

/** What came of the question for one mode's way. */
export type WayOutcome =
  | { readonly kind: "waiting" }
  | { readonly kind: "answered"; readonly way: Way }
  | { readonly kind: "failed"; readonly text: string };

/** Asks the server for one mode's way. */
export type AskWay = (mode: string, signal: AbortSignal) => Promise<Way>;

/** The questions between two places. */
export class WayQuestions {
  /** What came of each, in order of the modes. */
  readonly outcomes: WayOutcome[];
  private readonly calledOff = new AbortController();

  /** Asks; `onWay` hears of each answer, until they are called off. */
  constructor(
    readonly modes: readonly string[], private readonly ask: AskWay, private readonly onWay: (place: number, way: Way) => void,
  ) {
    this.outcomes = modes.map(() => ({ kind: "waiting" }));
    const places = modes.keys();
    for (let open = 0; open < MOST_OPEN; open += 1) {
      void this.askInTurn(places);
    }
  }

  /** Calls off what has not been answered. */
  callOff(): void {
    this.calledOff.abort();
  }

  /** One question after the other until none is left. */
  private async askInTurn(places: Iterator<number>): Promise<void> {
    const { signal } = this.calledOff;
    for (let next = places.next(); !next.done && !signal.aborted; next = places.next()) {
      const outcome = await this.outcomeOf(this.modes[next.value]!);
      if (signal.aborted) {
        return;
      }
      this.outcomes[next.value] = outcome;
      if (outcome.kind === "answered") {
        this.onWay(next.value, outcome.way);
      }
    }
  }

  private async outcomeOf(mode: string): Promise<WayOutcome> {
    try {
      return { kind: "answered", way: await this.ask(mode, this.calledOff.signal) };
    } catch (error) {
      if (!(error instanceof PathRefusedError)) {
        throw error;
      }
      return { kind: "failed", text: error.message };
    }
  }
}

/** An outcome in words. */
export function outcomeText(outcome: WayOutcome): string {
  if (outcome.kind !== "answered") {
    return outcome.kind === "waiting" ? "…" : outcome.text;
  }
  const { end, cost } = outcome.way;
  switch (end) {
    case "goal": return `cost ${cost}`;
    case "border": return `no way inside the box; ${cost} to its border`;
    case "unreachable": return "no way";
    case "tooFar": return "too far";
  }
}
