/** The colours of costs: bright near the goal, dark far from it, each step as different from the next as any other. */

/** The colour map plasma of matplotlib (CC0), backwards, in ten places. */
const STOPS = [
  "#f0f921", "#fdca26", "#fb9f3a", "#ed7953", "#d8576b", "#bd3786", "#9c179e", "#7201a8", "#46039f", "#0d0887",
] as const;
/** Of the costs shown, so many have colours of their own; what costs more is as dark as can be. */
const SHARE_WITHIN = 0.95;
/** Enough of them to tell where the ramp should end. */
const SAMPLES = 4_096;

/** Red, green and blue, 0 to 255 each, of a share of the farthest cost. */
export function rampColor(share: number): readonly [number, number, number] {
  const place = Math.max(0, Math.min(1, share)) * (STOPS.length - 1);
  const [before, after] = [STOPS[Math.floor(place)]!, STOPS[Math.ceil(place)]!];
  const mixed = (at: number) => {
    const [low, high] = [before, after].map((stop) => parseInt(stop.slice(at, at + 2), 16)) as [number, number];
    return Math.round(low + (high - low) * (place % 1));
  };
  return [mixed(1), mixed(3), mixed(5)];
}

/** The ramp for a legend. */
export function rampGradient(): string {
  return `linear-gradient(to right, ${STOPS.join(", ")})`;
}

/** The cost at which the ramp ends, with two digits that count: a few dear places shall not make all others look alike. */
export function rampEnd(costs: ArrayLike<number>): number {
  const every = Math.max(1, Math.floor(costs.length / SAMPLES));
  const sample = Array.from({ length: Math.ceil(costs.length / every) }, (_, at) => costs[at * every]!).sort((a, b) => a - b);
  const end = sample[Math.floor((sample.length - 1) * SHARE_WITHIN)] ?? 1;
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, end))) - 1);
  return Math.max(1, Math.ceil(end / unit) * unit);
}
