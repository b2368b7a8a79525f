/** What the page's address may say: `?at=x,y,z&look=yaw,pitch&distance=n&fly=1&keep=0&test=1`. */
import type { Position } from "@terrane/client";

/** The address, understood. */
export interface Parameters {
  /** Where the feet stand; null: at the world's spawn. */
  readonly at: Position | null;
  /** Yaw and pitch in degrees: yaw 0 looks north (−z), 90 east (+x); pitch 90 looks up. */
  readonly look: readonly [number, number];
  /** Horizontal view distance in chunks. */
  readonly distance: number;
  readonly isFlying: boolean;
  /** Whether chunks are kept in the browser for the next visit. */
  readonly isKept: boolean;
  /** Keeps the drawing buffer, so that tests can read pixels. */
  readonly isTest: boolean;
}

/** View distances that the slider offers, in chunks. */
export const DISTANCE_RANGE = { least: 2, most: 16, usual: 6 } as const;

/** Reads the query; what makes no sense is left out. */
export function readParameters(query: string): Parameters {
  const values = new URLSearchParams(query);
  const at = numbers(values.get("at"), 3);
  const look = numbers(values.get("look"), 2);
  const distance = numbers(values.get("distance"), 1)?.[0] ?? DISTANCE_RANGE.usual;
  return {
    at: at === null ? null : [at[0]!, at[1]!, at[2]!],
    look: look === null ? [0, 0] : [look[0]!, look[1]!],
    distance: Math.round(Math.min(DISTANCE_RANGE.most, Math.max(DISTANCE_RANGE.least, distance))),
    isFlying: values.get("fly") === "1",
    isKept: values.get("keep") !== "0",
    isTest: values.get("test") === "1",
  };
}

function numbers(text: string | null, count: number): number[] | null {
  const parts = (text ?? "").split(",").map(Number);
  return text !== null && parts.length === count && parts.every(Number.isFinite) ? parts : null;
}
